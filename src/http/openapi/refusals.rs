//! What operations refuse, as which problems.
//!
//! Most of it follows from an operation's shape: each needs a key and the database, a body can break off, a path can name
//! nothing. That is added here, to all alike. What is an operation's own stands at its handler: the description of a response
//! names the types of its problems in backticks, and they are found by that.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::walk::{self, Operation};
use crate::http::problem::ProblemType;

/// Those that say when to come back.
const WITH_RETRY_AFTER: [ProblemType; 7] = [
    ProblemType::IdempotencyKeyInProgress,
    ProblemType::DeliveryInProgress,
    ProblemType::TooManyWaiting,
    ProblemType::TooManyStreams,
    ProblemType::UpstreamUnavailable,
    ProblemType::Overloaded,
    ProblemType::DatabaseUnavailable,
];

/// Headers that are refused where they break a rule.
const CHECKED_HEADERS: [&str; 2] = ["Idempotency-Key", "Last-Event-ID"];

/// Adds the problems to every operation, and what is in every answer.
pub(super) fn add(document: &mut Value) {
    for operation in walk::operations(document) {
        let expected = by_shape(&operation);
        let Some(responses) = operation.value["responses"].as_object_mut() else {
            continue;
        };
        describe(responses, &expected);
        for response in responses.values_mut() {
            response["headers"]["X-Request-Id"] =
                json!({ "$ref": "#/components/headers/X-Request-Id" });
        }
    }
    document["components"]["headers"]["X-Request-Id"] = json!({
        "description": "What to quote to whoever runs the gateway. The request's own, where it has a usable one.",
        "schema": { "type": "string" },
    });
}

/// What follows from an operation's shape.
fn by_shape(operation: &Operation<'_>) -> Vec<ProblemType> {
    let mut found = vec![
        ProblemType::Unauthorized,
        ProblemType::DatabaseUnavailable,
        ProblemType::Internal,
    ];
    let mut add = |applies: bool, kinds: &[ProblemType]| {
        if applies {
            found.extend_from_slice(kinds);
        }
    };
    // Streams wait for their turn.
    add(
        !operation.path.ends_with("/stream"),
        &[ProblemType::Overloaded],
    );
    let changes = operation.method != "get" && !operation.id().starts_with("validate_");
    let is_admin = operation.path.starts_with("/v1/admin/");
    add(changes || is_admin, &[ProblemType::Forbidden]);
    add(operation.path.contains('{'), &[ProblemType::NotFound]);
    let mut headers = operation.parameters("header");
    let has_checked = headers.any(|header| CHECKED_HEADERS.contains(&header));
    let has_query = operation.parameters("query").next().is_some();
    add(has_checked || has_query, &[ProblemType::InvalidParameter]);
    let has_key = operation
        .parameters("header")
        .any(|name| name == "Idempotency-Key");
    add(
        has_key,
        &[
            ProblemType::IdempotencyKeyInProgress,
            ProblemType::IdempotencyKeyReused,
        ],
    );
    let is_json = operation.takes("application/json");
    let is_form = operation.takes("multipart/form-data");
    add(
        is_json || is_form,
        &[
            ProblemType::UploadInterrupted,
            ProblemType::RequestTimeout,
            ProblemType::PayloadTooLarge,
            ProblemType::UnsupportedMediaType,
        ],
    );
    add(
        is_json,
        &[ProblemType::MalformedJson, ProblemType::InvalidRequest],
    );
    // What comes as a form is sent on to Gladia.
    add(
        is_form,
        &[
            ProblemType::InvalidForm,
            ProblemType::EmptyFile,
            ProblemType::ZeroDataRetention,
            ProblemType::FileRefused,
            ProblemType::UpstreamFailed,
            ProblemType::UpstreamUnavailable,
        ],
    );
    found
}

/// Describes every refusal of an operation.
fn describe(responses: &mut Map<String, Value>, expected: &[ProblemType]) {
    let mut by_status: BTreeMap<String, Vec<ProblemType>> = BTreeMap::new();
    for (status, response) in &*responses {
        let named = named_in(&response["description"]);
        if !named.is_empty() || is_refusal(status) {
            by_status.insert(status.clone(), named);
        }
    }
    for kind in expected {
        let kinds = by_status
            .entry(kind.status().as_str().to_owned())
            .or_default();
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    for (status, kinds) in by_status {
        // An answer of the storage's that is passed on is none of ours.
        if kinds.is_empty() {
            continue;
        }
        let response = responses.entry(status).or_insert_with(|| json!({}));
        let own = response["description"].as_str().unwrap_or_default();
        response["description"] = sentences(own, &kinds).into();
        let examples: Map<String, Value> = kinds
            .iter()
            .map(|kind| {
                let example = format!("#/components/examples/{}", kind.slug());
                (kind.slug().to_owned(), json!({ "$ref": example }))
            })
            .collect();
        response["content"] = json!({
            "application/problem+json": { "schema": walk::reference("Problem"), "examples": examples },
        });
        if kinds.iter().any(|kind| WITH_RETRY_AFTER.contains(kind)) {
            response["headers"]["Retry-After"] = json!({
                "description": "Seconds after which to come back.",
                "schema": { "type": "integer", "minimum": 1 },
            });
        }
        if kinds.contains(&ProblemType::Unauthorized) {
            response["headers"]["WWW-Authenticate"] =
                json!({ "description": "`Bearer`.", "schema": { "type": "string" } });
        }
    }
}

fn is_refusal(status: &str) -> bool {
    status.starts_with(['4', '5'])
}

/// The types of problems that a description names.
fn named_in(description: &Value) -> Vec<ProblemType> {
    let text = description.as_str().unwrap_or_default();
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(ProblemType::find).collect()
}

/// A handler's own words, then what it leaves out.
fn sentences(own: &str, kinds: &[ProblemType]) -> String {
    let named = named_in(&own.into());
    let mut left: Vec<ProblemType> = kinds.to_vec();
    left.retain(|kind| !named.contains(kind));
    if named.is_empty() && !own.is_empty() {
        let slugs: Vec<String> = left
            .iter()
            .map(|kind| format!("`{}`", kind.slug()))
            .collect();
        return format!("{} ({}).", own.trim_end_matches('.'), slugs.join(", "));
    }
    let mut all: Vec<String> = Vec::new();
    if !own.is_empty() {
        all.push(own.to_owned());
    }
    all.extend(
        left.iter()
            .map(|kind| format!("{} (`{}`).", kind.title(), kind.slug())),
    );
    all.join(" ")
}
