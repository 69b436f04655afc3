//! The document of the REST API: current, valid, and complete enough to make a client from.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, what cannot be unwrapped is a failure"
)]

mod answers;
mod clients;
mod examples;
mod later_values;
mod names;
mod refusals;
mod v3_0;

use std::{collections::BTreeSet, fs, path::Path};

use gladia_gateway::{
    domain::event::EventId,
    http::openapi::{self, Version},
};
use serde_json::{Value, json};

const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// What operations do, as the first word of their ids.
const VERBS: [&str; 16] = [
    "create", "get", "list", "cancel", "delete", "update", "replay", "resolve", "retry",
    "validate", "stream", "enable", "disable", "rotate", "test", "dismiss",
];

const PROBLEM: &str = "#/components/schemas/Problem";

fn read(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn document() -> Value {
    document_in(Version::V3_1)
}

fn document_in(version: Version) -> Value {
    serde_json::to_value(openapi::document().in_version(version)).unwrap()
}

/// Every operation with its name for messages.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if METHODS.contains(&method.as_str()) {
                found.push((format!("{} {path}", method.to_uppercase()), operation));
            }
        }
    }
    found
}

/// Every reference in the document.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get("$ref") {
                found.insert(target);
            }
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_committed_documents_are_current() {
    for (path, version) in [
        ("openapi/openapi.json", Version::V3_1),
        ("openapi/openapi-3.0.json", Version::V3_0),
    ] {
        assert!(
            read(path) == document_in(version),
            "{path} is not what the handlers say. Run ./dev openapi, and commit what it changes."
        );
    }
}

#[test]
fn the_document_is_valid() {
    let schema = read("tests/fixtures/openapi-3.1/schema.json");
    let validator = jsonschema::validator_for(&schema).unwrap();
    let document = document();
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    // The schema can refuse.
    let mut broken = document;
    broken["paths"]["/v1/transcriptions"]["get"]["responses"]["200"] = json!({ "content": {} });
    assert!(!validator.is_valid(&broken));
}

#[test]
fn every_schema_is_valid_json_schema() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert!(schemas.len() > 5);
    for (name, schema) in schemas {
        let mut schema = schema.clone();
        schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        if let Err(error) = jsonschema::meta::validate(&schema) {
            panic!("{name}: {error} at {}", error.instance_path());
        }
    }
}

#[test]
fn results_are_what_the_document_says() {
    let mut schema = document();
    schema["$ref"] = json!("#/components/schemas/TranscriptionResult");
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (name, member) in [
        ("done", "result"),
        ("done-addon-failed", "result"),
        ("callback-success", "payload"),
    ] {
        let mut result = read(&format!("tests/fixtures/gladia/{name}.json"))[member].take();
        let errors: Vec<String> = validator
            .iter_errors(&result)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
        // What is new is allowed everywhere; what is known has its type.
        result["tomorrow"] = json!([1]);
        result["metadata"]["tomorrow"] = json!({});
        result["transcription"]["utterances"][0]["words"][0]["tomorrow"] = json!(1);
        assert!(validator.is_valid(&result), "{name}");
        result["transcription"]["utterances"][0]["words"][0]["start"] = json!("soon");
        assert!(!validator.is_valid(&result), "{name}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.contains(PROBLEM));
    for target in found {
        let pointer = target
            .strip_prefix('#')
            .unwrap_or_else(|| panic!("{target} leads out of the document"));
        assert!(
            document.pointer(pointer).is_some(),
            "{target} leads nowhere"
        );
    }
}

#[test]
fn every_operation_says_what_it_does() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"]
            .as_str()
            .unwrap_or_else(|| panic!("{name} has no operationId"));
        let (verb, resource) = id
            .split_once('_')
            .unwrap_or_else(|| panic!("{id} is not <verb>_<resource>"));
        assert!(VERBS.contains(&verb), "{id}: no such verb");
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(!resource.is_empty() && resource.chars().all(plain), "{id}");
        assert!(ids.insert(id.to_owned()), "{id} stands there twice");
        let summary = operation["summary"].as_str().unwrap_or_default();
        assert!(!summary.trim().is_empty(), "{name} has no summary");
        let description = operation["description"].as_str().unwrap_or_default();
        assert!(!description.trim().is_empty(), "{name} has no description");
        let tags = operation["tags"].as_array().map_or(0, Vec::len);
        assert_eq!(tags, 1, "{name} belongs to one group");
    }
    for id in [
        "create_transcription",
        "create_transcription_from_file",
        "validate_transcription",
        "list_transcriptions",
        "get_transcription",
        "get_transcription_result",
        "get_transcription_export",
        "get_transcription_export_json",
        "get_transcription_audio",
        "get_transcription_timeline",
        "retry_transcription",
        "cancel_transcription",
        "delete_transcription",
        "create_batch",
        "get_batch",
        "list_events",
        "create_upload",
        "list_deliveries",
        "get_delivery",
        "replay_delivery",
        "replay_failed_deliveries",
        "create_webhook_endpoint",
        "list_webhook_endpoints",
        "get_webhook_endpoint",
        "update_webhook_endpoint",
        "delete_webhook_endpoint",
        "rotate_webhook_endpoint_secret",
        "test_webhook_endpoint",
        "enable_webhook_endpoint",
        "disable_webhook_endpoint",
        "rotate_callback_secret",
        "get_usage",
        "stream_events",
        "stream_transcription_events",
        "list_callbacks",
        "replay_callback",
        "dismiss_callback",
        "list_attempts",
        "resolve_attempt",
    ] {
        assert!(ids.contains(id), "there is no {id}");
    }
}

#[test]
fn every_answer_is_described_and_every_error_is_a_problem() {
    let document = document();
    for (name, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{name} never succeeds"
        );
        for expected in ["401", "500", "503"] {
            assert!(responses.contains_key(expected), "{name} lacks {expected}");
        }
        for (status, response) in responses {
            let description = response["description"].as_str().unwrap_or_default();
            assert!(!description.trim().is_empty(), "{name} {status}");
            let range = status == "416";
            if matches!(status.as_bytes()[0], b'4' | b'5') && !range {
                let schema = &response["content"]["application/problem+json"]["schema"];
                assert_eq!(schema["$ref"], PROBLEM, "{name} {status}");
            }
        }
    }
}

/// The schema of a request that the gateway makes, which must be a named one. What surrounds it is looked at, too.
fn sent(operation: &Value) -> &str {
    let summary = operation["summary"].as_str().unwrap_or_default();
    assert!(!summary.is_empty(), "{operation}");
    let headers: Vec<(&str, &Value)> = operation["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|header| (header["name"].as_str().unwrap(), &header["in"]))
        .collect();
    let signed = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    assert_eq!(
        headers,
        signed.map(|name| (name, &operation["parameters"][0]["in"]))
    );
    assert_eq!(operation["parameters"][0]["in"], "header");
    for status in ["2XX", "410"] {
        let description = &operation["responses"][status]["description"];
        assert!(description.is_string(), "{summary}: {status}");
    }
    // No API key of ours goes there.
    assert_eq!(operation["security"], json!([{}]));
    let body = &operation["requestBody"];
    assert_eq!(body["required"], true);
    let reference = &body["content"]["application/json"]["schema"]["$ref"];
    let name = reference
        .as_str()
        .and_then(|text| text.strip_prefix("#/components/schemas/"));
    name.unwrap_or_else(|| panic!("{summary}: no named schema but {reference}"))
}

#[test]
fn the_events_are_webhooks_with_named_bodies() {
    let document = document();
    let webhooks = document["webhooks"].as_object().unwrap();
    let found: Vec<(&str, &str)> = webhooks
        .iter()
        .map(|(name, item)| (name.as_str(), sent(&item["post"])))
        .collect();
    for item in webhooks.values() {
        let id = item["post"]["operationId"].as_str().unwrap_or_default();
        assert!(id.starts_with("receive_"), "{item}");
    }
    assert_eq!(
        found,
        [
            ("transcriptionEvent", "TranscriptionEvent"),
            (
                "transcriptionEventWithResult",
                "TranscriptionEventWithResult"
            ),
            ("webhookEndpointEvent", "WebhookEndpointEvent"),
        ]
    );
}

#[test]
fn the_callback_of_a_transcription_stands_at_its_create() {
    let document = document();
    for (path, expression) in [
        ("/v1/transcriptions", "{$request.body#/callback_config/url}"),
        (
            "/v1/transcriptions/upload",
            "{$request.body#/options/callback_config/url}",
        ),
        (
            "/v1/batches",
            "{$request.body#/requests/0/callback_config/url}",
        ),
    ] {
        let item = &document["paths"][path]["post"]["callbacks"]["transcriptionEnded"][expression];
        for method in ["post", "put"] {
            assert_eq!(sent(&item[method]), "TranscriptionCallback", "{path}");
        }
    }
}

/// What is wrong with a body by the schema of this name.
fn errors_in(schema: &str, body: &Value) -> Vec<String> {
    let mut document = document();
    document["$ref"] = json!(format!("#/components/schemas/{schema}"));
    let validator = jsonschema::validator_for(&document).unwrap();
    validator
        .iter_errors(body)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect()
}

#[test]
fn what_gladia_calls_back_with_is_what_the_document_says_of_our_callbacks() {
    let failed = json!({
        "id": "00000000-0000-0000-0000-000000000000", "event": "transcription.error",
        "error": { "code": 422, "message": "The audio holds nothing that can be heard" },
        "custom_metadata": { "order": 7 },
    });
    for body in [read("tests/fixtures/gladia/callback-success.json"), failed] {
        assert_eq!(errors_in("TranscriptionCallback", &body), [""; 0], "{body}");
        let mut other = body.clone();
        other["event"] = json!("transcription.created");
        assert_ne!(
            errors_in("TranscriptionCallback", &other),
            [""; 0],
            "{body}"
        );
    }
}

#[test]
fn an_event_with_its_result_is_an_event_and_more() {
    let mut event = json!({
        "id": "evt_42", "type": "transcription.done", "occurred_at": "2026-11-26T15:00:00Z",
        "data": {
            "transcription_id": "00000000-0000-0000-0000-000000000000", "status": "done", "status_reason": null,
            "error": null, "batch_id": null, "links": { "transcription": "/a", "result": "/b" },
        },
    });
    for schema in ["TranscriptionEvent", "TranscriptionEventWithResult"] {
        assert_eq!(errors_in(schema, &event), [""; 0]);
    }
    event["data"]["result"] = read("tests/fixtures/gladia/done.json")["result"].take();
    assert_eq!(errors_in("TranscriptionEventWithResult", &event), [""; 0]);
    event["data"]["result"] = json!("soon");
    assert_ne!(errors_in("TranscriptionEventWithResult", &event), [""; 0]);
}

#[test]
fn a_key_is_asked_for_everywhere() {
    let document = document();
    let scheme = &document["components"]["securitySchemes"]["api_key"];
    assert_eq!(
        (&scheme["type"], &scheme["scheme"]),
        (&json!("http"), &json!("bearer"))
    );
    assert_eq!(document["security"], json!([{ "api_key": [] }]));
    for (name, operation) in operations(&document) {
        assert_eq!(operation.get("security"), None, "{name} goes its own way");
    }
}

#[test]
fn an_id_of_an_event_has_one_pattern_and_it_is_what_is_taken() {
    let document = document();
    let mut patterns = vec![&document["components"]["schemas"]["EventId"]["pattern"]];
    let id = json!("#/components/schemas/EventId");
    for (name, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let schema = &parameter["schema"];
            if ["after", "Last-Event-ID", "event_id"]
                .iter()
                .any(|known| parameter["name"] == *known)
                && schema["$ref"] != id
            {
                assert!(schema["pattern"].is_string(), "{name}: {parameter}");
                patterns.push(&schema["pattern"]);
            }
        }
    }
    assert!(patterns.len() > 1);
    for pattern in patterns {
        let validator = jsonschema::validator_for(&json!({ "pattern": pattern })).unwrap();
        for text in [
            "evt_0",
            "evt_42",
            "evt_042",
            "evt_-1",
            "evt_",
            "42",
            "evt_999999999999999999",
            "evt_1000000000000000000",
            "evt_9223372036854775807",
        ] {
            let is_taken = text.parse::<EventId>().is_ok();
            assert_eq!(
                validator.is_valid(&json!(text)),
                is_taken,
                "{pattern}: {text}"
            );
        }
    }
}
