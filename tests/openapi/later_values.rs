//! Values to which later versions may add.

use gladia_gateway::http::openapi::Version;
use serde_json::{Value, json};

use super::{document, document_in};

/// Where answers have such a value: the component, its field, and the enumeration.
const GROWING: [(&str, &str, &str); 16] = [
    ("Transcription", "status_reason", "StatusReason"),
    ("RetriedTranscription", "status_reason", "StatusReason"),
    ("Standing", "status_reason", "StatusReason"),
    ("TranscriptionEventData", "status_reason", "StatusReason"),
    (
        "TranscriptionEventDataWithResult",
        "status_reason",
        "StatusReason",
    ),
    ("TranscriptionError", "type", "TranscriptionErrorType"),
    ("EventError", "type", "TranscriptionErrorType"),
    ("Warning", "code", "WarningCode"),
    ("TimelineStep", "step", "StepCode"),
    ("TimelineStep", "reason", "StepReason"),
    ("Delivery", "dead_reason", "DeadReason"),
    ("DeliveryWithAttempts", "dead_reason", "DeadReason"),
    ("WebhookEndpoint", "disabled_reason", "DisabledReason"),
    (
        "WebhookEndpointWithSecret",
        "disabled_reason",
        "DisabledReason",
    ),
    (
        "WebhookEndpointEventData",
        "disabled_reason",
        "DisabledReason",
    ),
    ("UpstreamCopy", "status", "UpstreamStatus"),
];

/// Whether this part of the document takes a value.
fn takes(document: &Value, schema: &Value, value: &Value) -> bool {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    jsonschema::validator_for(&whole).unwrap().is_valid(value)
}

#[test]
fn an_answer_may_have_a_value_that_is_not_known_yet() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    for (name, field, values) in GROWING {
        let schema = &schemas[name]["properties"][field];
        let place = format!("{name}.{field}");
        assert_eq!(
            schema["anyOf"][0]["$ref"],
            format!("#/components/schemas/{values}"),
            "{place}"
        );
        for known in schemas[values]["enum"].as_array().unwrap() {
            assert!(takes(&document, schema, known), "{place}: {known}");
        }
        assert!(takes(&document, schema, &json!("of_tomorrow")), "{place}");
        assert!(!takes(&document, schema, &json!(17)), "{place}");
        let said = schema["description"].as_str().unwrap();
        assert!(
            said.ends_with("Later versions may have more values."),
            "{said}"
        );
    }
}

/// The places of references to these enumerations, but for those beside any text.
fn closed<'a>(place: &str, part: &'a Value, found: &mut Vec<(String, &'a str)>) {
    if let Some(target) = part["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap_or_default();
        if GROWING.iter().any(|(.., values)| *values == name) {
            found.push((place.to_owned(), name));
        }
    }
    match part {
        Value::Object(fields) => {
            let alternatives = part["anyOf"].as_array();
            let is_open =
                alternatives.is_some_and(|all| all.contains(&json!({ "type": "string" })));
            for (key, inner) in fields {
                if key != "anyOf" || !is_open {
                    closed(&format!("{place}/{key}"), inner, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| closed(place, item, found)),
        _ => {}
    }
}

#[test]
fn only_parameters_are_one_of_the_values_that_are_known() {
    let document = document();
    let mut found = Vec::new();
    closed("", &document, &mut found);
    assert!(!found.is_empty());
    for (place, name) in found {
        assert!(place.contains("/parameters/"), "{place}: {name}");
        assert_eq!(name, "TranscriptionErrorType", "{place}");
    }
}

#[test]
fn in_the_older_document_they_are_text_whose_description_has_the_values() {
    let (newer, older) = (document(), document_in(Version::V3_0));
    for (name, field, values) in GROWING {
        let was = &newer["components"]["schemas"][name]["properties"][field];
        let schema = &older["components"]["schemas"][name]["properties"][field];
        let place = format!("{name}.{field}");
        assert_eq!(schema["type"], "string", "{place}");
        let may_be_null = was["anyOf"].as_array().unwrap().len() == 3;
        assert_eq!(schema["nullable"] == true, may_be_null, "{place}");
        for word in ["anyOf", "oneOf", "allOf", "enum"] {
            assert_eq!(schema.get(word), None, "{place}");
        }
        let said = schema["description"].as_str().unwrap();
        for value in newer["components"]["schemas"][values]["enum"]
            .as_array()
            .unwrap()
        {
            let value = format!("`{}`", value.as_str().unwrap());
            assert!(said.contains(&value), "{place}: {said}");
        }
    }
}

/// Those who lint documents take a component that nothing refers to for a mistake.
#[test]
fn no_component_is_there_for_nothing() {
    for version in [Version::V3_1, Version::V3_0] {
        let document = document_in(version);
        let mut found = std::collections::BTreeSet::new();
        super::references(&document, &mut found);
        for name in document["components"]["schemas"]
            .as_object()
            .unwrap()
            .keys()
        {
            let target = format!("#/components/schemas/{name}");
            assert!(found.contains(target.as_str()), "{version:?}: {name}");
        }
    }
}
