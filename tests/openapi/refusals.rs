//! Every refusal is a problem of a type that is named.

use std::collections::BTreeSet;

use gladia_gateway::http::problem::ProblemType;
use serde_json::Value;

use super::{document, operations};

/// The problem types of a response.
fn types(response: &Value) -> BTreeSet<&str> {
    let examples = &response["content"]["application/problem+json"]["examples"];
    let names = examples.as_object().into_iter().flatten();
    names.map(|(name, _)| name.as_str()).collect()
}

#[test]
fn every_refusal_names_its_problem_types_and_those_are_of_its_status() {
    let document = document();
    for (name, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            if !status.starts_with(['4', '5']) || status == "416" {
                continue;
            }
            let types = types(response);
            assert!(!types.is_empty(), "{name} {status} names no problem type");
            let description = response["description"].as_str().unwrap();
            for slug in types {
                let kind = ProblemType::find(slug).unwrap();
                assert_eq!(kind.status().as_str(), status, "{name}: {slug}");
                assert!(
                    description.contains(&format!("`{slug}`")),
                    "{name} {status}"
                );
            }
        }
    }
}

#[test]
fn every_problem_type_stands_at_an_operation() {
    let document = document();
    let mut found: BTreeSet<&str> = operations(&document)
        .into_iter()
        .flat_map(|(_, operation)| operation["responses"].as_object().unwrap().values())
        .flat_map(types)
        .collect();
    // An operation is reached by its own method.
    found.insert(ProblemType::MethodNotAllowed.slug());
    let all: BTreeSet<&str> = ProblemType::ALL.map(ProblemType::slug).into();
    assert_eq!(found, all);
}

#[test]
fn the_example_of_a_problem_is_of_its_type() {
    let document = document();
    for (slug, example) in document["components"]["examples"].as_object().unwrap() {
        let kind = ProblemType::find(slug).unwrap();
        let problem = &example["value"];
        assert_eq!(
            problem["type"],
            format!("urn:gladia-gateway:problem:{slug}")
        );
        assert_eq!(problem["status"], kind.status().as_u16());
        assert_eq!(problem["title"], kind.title());
        assert_ne!(problem["detail"].as_str().unwrap_or_default(), "", "{slug}");
    }
}

#[test]
fn what_an_operation_refuses_follows_from_its_shape() {
    let document = document();
    let of = |path: &str, method: &str, status: &str| {
        types(&document["paths"][path][method]["responses"][status])
            .into_iter()
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (path, method, status, expected) in [
        (
            "/v1/transcriptions",
            "post",
            "400",
            "invalid-parameter malformed-json upload-interrupted",
        ),
        (
            "/v1/transcriptions",
            "post",
            "422",
            "idempotency-key-reused invalid-request",
        ),
        ("/v1/transcriptions", "get", "400", "invalid-parameter"),
        ("/v1/transcriptions", "get", "403", ""),
        ("/v1/transcriptions/validate", "post", "403", ""),
        ("/v1/transcriptions/{id}", "delete", "403", "forbidden"),
        ("/v1/transcriptions/{id}", "delete", "400", ""),
        ("/v1/transcriptions/{id}", "get", "404", "not-found"),
        ("/v1/admin/attempts", "get", "403", "forbidden"),
        (
            "/v1/uploads",
            "post",
            "403",
            "forbidden zero-data-retention",
        ),
        (
            "/v1/uploads",
            "post",
            "503",
            "database-unavailable overloaded upstream-unavailable",
        ),
    ] {
        assert_eq!(
            of(path, method, status),
            expected,
            "{method} {path} {status}"
        );
    }
}

#[test]
fn who_comes_back_is_told_when_and_who_asks_is_told_the_request() {
    let document = document();
    for (name, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        for (status, response) in responses {
            let headers = &response["headers"];
            assert!(headers["X-Request-Id"].is_object(), "{name} {status}");
            assert_eq!(headers["WWW-Authenticate"].is_object(), status == "401");
            if status == "503" {
                assert!(headers["Retry-After"].is_object(), "{name}");
            }
        }
    }
}
