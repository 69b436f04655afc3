//! What generated clients are known to stumble over is not there.

use std::collections::BTreeSet;

use gladia_gateway::http::openapi::Version;
use serde_json::Value;

use super::{document, document_in, examples::all_operations, operations};

#[test]
fn an_operation_answers_with_json_or_with_something_else() {
    let document = document();
    let mut checked = 0;
    for (name, operation) in operations(&document) {
        // Its JSON is what clients read; its CSV is for people.
        if operation["operationId"] == "get_usage" {
            continue;
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let content = response["content"].as_object();
            let is_json = |name: &String| name.ends_with("json");
            let (json, other): (Vec<&String>, Vec<&String>) = content
                .into_iter()
                .flat_map(|all| all.keys())
                .partition(|name| is_json(name));
            assert!(
                json.is_empty() || other.is_empty(),
                "{name} {status}: {json:?}, {other:?}"
            );
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn an_export_is_text_in_the_newer_document_and_a_file_in_the_older() {
    for (version, format) in [(Version::V3_1, None), (Version::V3_0, Some("binary"))] {
        let document = document_in(version);
        let export = &document["paths"]["/v1/transcriptions/{id}/export/{format}"]["get"];
        let content = export["responses"]["200"]["content"].as_object().unwrap();
        assert_eq!(content.len(), 5);
        for (media_type, body) in content {
            let schema = &body["schema"];
            assert_eq!(schema["type"], "string", "{media_type}");
            assert_eq!(schema["format"].as_str(), format, "{media_type}");
        }
    }
}

/// What generated programs, the code around them and their languages have by these names themselves, in whichever case.
const TAKEN: &str = "any api apiclient apiexception apiresponse array boolean client configuration date datetime dictionary \
                     error exception file float integer list map model models null number object option optional request \
                     response result set string type unset";

#[test]
fn no_schema_has_a_name_that_generated_programs_have_themselves() {
    let document = document();
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        let name = name.to_lowercase();
        assert!(TAKEN.split(' ').all(|taken| taken != name), "{name}");
    }
}

#[test]
fn what_is_received_is_in_no_group_of_what_is_called() {
    let document = document();
    let called = operations(&document);
    let is_called = |name: &str| called.iter().any(|(known, _)| known == name);
    let (mut of_called, mut of_received) = (BTreeSet::new(), BTreeSet::new());
    for (name, operation) in all_operations(&document) {
        let found = if is_called(&name) {
            &mut of_called
        } else {
            &mut of_received
        };
        let tags = operation["tags"].as_array().unwrap();
        found.extend(tags.iter().map(|tag| tag.as_str().unwrap()));
    }
    assert!(of_called.contains("webhooks"), "{of_called:?}");
    assert!(of_called.is_disjoint(&of_received), "{of_received:?}");
    // Each group is described.
    let described = document["tags"].as_array().unwrap().iter();
    let described: BTreeSet<&str> = described.map(|tag| tag["name"].as_str().unwrap()).collect();
    assert_eq!(described, &of_called | &of_received);
}

#[test]
fn every_operation_has_an_id_that_no_other_has() {
    for version in [Version::V3_1, Version::V3_0] {
        let mut document = document_in(version);
        if let Some(webhooks) = document.get_mut("x-webhooks").map(Value::take) {
            document["webhooks"] = webhooks;
        }
        let mut ids = BTreeSet::new();
        for (name, operation) in all_operations(&document) {
            let id = operation["operationId"].as_str();
            let id = id.unwrap_or_else(|| panic!("{name} has no id"));
            assert!(ids.insert(id.to_owned()), "{id} stands there twice");
        }
        assert!(ids.contains("receive_transcription_callback_of_file_by_put"));
    }
}
