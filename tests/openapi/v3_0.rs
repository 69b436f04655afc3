//! The twin for programs that read no newer version than 3.0.

use gladia_gateway::http::openapi::Version;
use serde_json::{Value, json};

use super::{document, document_in, operations, references};

/// Enumerations to which later versions may add, and which no parameter takes.
const AS_TEXT: [&str; 7] = [
    "DeadReason",
    "DisabledReason",
    "StatusReason",
    "StepCode",
    "StepReason",
    "UpstreamStatus",
    "WarningCode",
];

#[test]
fn both_have_the_same_operations_and_components() {
    let (newer, older) = (document(), document_in(Version::V3_0));
    assert_eq!(newer["openapi"], "3.1.0");
    assert_eq!(older["openapi"], "3.0.3");
    let ids = |document: &Value| -> Vec<(String, String)> {
        let operations = operations(document).into_iter();
        operations
            .map(|(name, operation)| (name, operation["operationId"].to_string()))
            .collect()
    };
    assert_eq!(ids(&newer), ids(&older));
    for kind in ["schemas", "examples", "headers"] {
        let names = |document: &Value| -> Vec<String> {
            let components = document["components"][kind].as_object().unwrap();
            // The frames of streams are text there, and so are values to which later versions may add.
            let is_text = |name: &str| name.ends_with("Message") || AS_TEXT.contains(&name);
            let names = components.keys().filter(|name| !is_text(name));
            names.cloned().collect()
        };
        assert_eq!(names(&newer), names(&older), "{kind}");
    }
    for ((name, newer), (_, older)) in operations(&newer).into_iter().zip(operations(&older)) {
        let statuses = |operation: &Value| -> Vec<String> {
            let responses = operation["responses"].as_object().unwrap();
            responses.keys().cloned().collect()
        };
        assert_eq!(statuses(newer), statuses(older), "{name}");
    }
}

/// Looks for words of 3.1 in schemas. Examples are data.
fn assert_old(place: &str, part: &Value, in_schema: bool) {
    match part {
        Value::Object(fields) => {
            if in_schema {
                for word in [
                    "const",
                    "contentMediaType",
                    "contentEncoding",
                    "propertyNames",
                    "examples",
                    "prefixItems",
                    "patternProperties",
                    "unevaluatedProperties",
                    "if",
                    "$defs",
                    "$schema",
                ] {
                    assert!(!fields.contains_key(word), "{place} has {word}");
                }
                assert!(
                    !fields.get("type").is_some_and(Value::is_array),
                    "{place} has several types"
                );
                assert_ne!(fields.get("type"), Some(&"null".into()), "{place} is null");
                for bound in ["exclusiveMinimum", "exclusiveMaximum"] {
                    let is_flag = fields.get(bound).is_none_or(Value::is_boolean);
                    assert!(is_flag, "{place} has a number for {bound}");
                }
                assert!(
                    !fields.contains_key("$ref") || fields.len() == 1,
                    "{place}: beside a reference"
                );
            }
            for (key, value) in fields {
                let place = format!("{place}/{key}");
                match key.as_str() {
                    "properties" if in_schema => {
                        for (name, field) in value.as_object().unwrap() {
                            assert_old(&format!("{place}/{name}"), field, true);
                        }
                    }
                    "schemas" => {
                        for (name, schema) in value.as_object().unwrap() {
                            assert_old(&format!("{place}/{name}"), schema, true);
                        }
                    }
                    "examples" | "example" | "value" | "default" | "enum" | "mapping" => {}
                    "schema" => assert_old(&place, value, true),
                    _ => assert_old(&place, value, in_schema),
                }
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| assert_old(place, item, in_schema)),
        _ => {}
    }
}

#[test]
fn it_holds_no_word_of_a_newer_version() {
    let document = document_in(Version::V3_0);
    assert_eq!(document.get("webhooks"), None);
    assert!(document["x-webhooks"].is_object());
    assert_eq!(document["info"]["license"].get("identifier"), None);
    assert_old("", &document, false);
}

#[test]
fn a_word_of_a_newer_version_would_be_found() {
    let newer = document();
    let found = std::panic::catch_unwind(|| assert_old("", &newer, false));
    assert!(found.is_err());
}

#[test]
fn every_reference_of_it_leads_somewhere() {
    let document = document_in(Version::V3_0);
    let mut found = std::collections::BTreeSet::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{target} leads nowhere"
        );
    }
}

#[test]
fn a_stream_is_text_there() {
    let document = document_in(Version::V3_0);
    let stream = &document["paths"]["/v1/events/stream"]["get"]["responses"]["200"];
    let stream = &stream["content"]["text/event-stream"];
    assert_eq!(stream["schema"]["type"], "string");
    let frame = stream["examples"]["transcription"]["value"].as_str();
    let frame = frame.unwrap_or_else(|| panic!("{stream}"));
    assert!(
        frame.starts_with("id: evt_42\nevent: transcription.done\ndata: {"),
        "{frame}"
    );
}

#[test]
fn bodies_that_hold_no_null_of_a_kind_that_is_contested_keep_their_examples() {
    let document = document_in(Version::V3_0);
    let operations = &document["paths"];
    let kept = &operations["/v1/webhook-endpoints"]["post"]["requestBody"]["content"];
    assert!(kept["application/json"]["examples"].is_object());
    let refused = &operations["/v1/transcriptions"]["post"]["responses"]["422"]["content"];
    assert!(refused["application/problem+json"]["examples"].is_object());
    let left_out = &operations["/v1/transcriptions/{id}"]["get"]["responses"]["200"]["content"];
    assert_eq!(left_out["application/json"].get("examples"), None);
}

#[test]
fn what_may_be_null_may_be_null_there() {
    let document = document_in(Version::V3_0);
    let fields = &document["components"]["schemas"]["Transcription"]["properties"];
    assert_eq!(fields["started_at"]["type"], "string");
    assert_eq!(fields["started_at"]["nullable"], true);
    assert_eq!(fields["error"]["nullable"], true);
    assert_eq!(
        fields["error"]["allOf"][0]["$ref"],
        "#/components/schemas/TranscriptionError"
    );
    assert_eq!(fields["status"].get("nullable"), None);
    // What may be left out is not null; but of what Gladia sends, it may be both.
    let schemas = &document["components"]["schemas"];
    let sent = &schemas["CreateTranscription"]["properties"]["model"];
    assert_eq!(sent.get("nullable"), None);
    // For a list that is left out, Java sends an empty one, unless it may be null.
    let list = &schemas["LanguageConfig"]["properties"]["languages"];
    assert_eq!(list["nullable"], true);
    let received = &schemas["TranscriptionResult"]["properties"]["summarization"];
    assert_eq!(received["nullable"], true);
}

/// Their dialect is an older one of JSON Schema, but for null.
#[test]
fn a_vocabulary_is_a_flag_or_a_list_there() {
    let mut document = document_in(Version::V3_0);
    document["$ref"] = "#/components/schemas/TranscriptionOptions".into();
    let validator = jsonschema::draft4::new(&document).unwrap();
    for vocabulary in [json!(true), json!(["Northwind Freight"])] {
        let shown = json!({ "custom_vocabulary": vocabulary });
        assert!(validator.is_valid(&shown), "{shown}");
    }
    assert!(!validator.is_valid(&json!({ "diarization": ["Anna"] })));
}
