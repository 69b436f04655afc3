//! Generated clients need not invent names.

use serde_json::Value;

use super::document;

/// Visits every schema with its place.
fn schemas(place: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(place, schema);
    for (field, inner) in schema["properties"].as_object().into_iter().flatten() {
        schemas(&format!("{place}/{field}"), inner, visit);
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            schemas(&format!("{place}/{key}"), &schema[key], visit);
        }
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        for inner in schema[key].as_array().into_iter().flatten() {
            schemas(&format!("{place}/{key}"), inner, visit);
        }
    }
}

/// Every schema of the document with its place: `Transcription/status`.
fn every_schema(document: &Value, visit: &mut impl FnMut(&str, &Value)) {
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        schemas(name, schema, visit);
    }
    let paths = document["paths"].as_object().unwrap();
    for (path, operation) in paths.iter().flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().values();
        operations.map(move |operation| (path, operation))
    }) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let place = format!("{path}?{}", parameter["name"]);
            schemas(&place, &parameter["schema"], visit);
        }
        let responses = operation["responses"].as_object().unwrap().values();
        for body in responses.chain([&operation["requestBody"]]) {
            for content in body["content"].as_object().into_iter().flatten() {
                schemas(
                    &format!("{path} {}", content.0),
                    &content.1["schema"],
                    visit,
                );
            }
        }
    }
}

#[test]
fn objects_and_enumerations_are_components() {
    let document = document();
    every_schema(&document, &mut |place, schema| {
        let nested = place.contains(['/', '?', ' ']);
        // A component may add fields to another.
        let extends = place
            .split_once('/')
            .is_some_and(|(_, rest)| rest == "allOf");
        if nested && !extends {
            assert!(schema["properties"].is_null(), "{place} has no name");
        }
        assert!(!nested || schema["enum"].is_null(), "{place} has no name");
    });
}

#[test]
fn an_object_with_fields_that_nobody_knows_says_so() {
    let document = document();
    every_schema(&document, &mut |place, schema| {
        let is_object = schema["type"] == "object";
        let is_open = !schema["additionalProperties"].is_null();
        let has_fields = schema["properties"].is_object();
        assert!(!is_object || is_open || has_fields, "{place}");
    });
}

#[test]
fn nothing_stands_beside_a_reference_among_alternatives() {
    let document = document();
    every_schema(&document, &mut |place, schema| {
        for alternative in schema["oneOf"].as_array().into_iter().flatten() {
            if let Some(fields) = alternative
                .as_object()
                .filter(|all| all.contains_key("$ref"))
            {
                assert_eq!(fields.len(), 1, "{place}");
            }
        }
    });
}

#[test]
fn one_field_tells_alternatives_apart() {
    let document = document();
    for (name, field, value, target) in [
        ("Event", "type", "transcription.done", "TranscriptionEvent"),
        (
            "Event",
            "type",
            "webhook_endpoint.test",
            "WebhookEndpointEvent",
        ),
        ("RequestOutcome", "status", "accepted", "AcceptedRequest"),
        ("RequestOutcome", "status", "refused", "RefusedRequest"),
        (
            "TranscriptionCallback",
            "event",
            "transcription.error",
            "TranscriptionErrorCallback",
        ),
    ] {
        let discriminator = &document["components"]["schemas"][name]["discriminator"];
        assert_eq!(discriminator["propertyName"], field, "{name}");
        let expected = format!("#/components/schemas/{target}");
        assert_eq!(discriminator["mapping"][value], expected, "{name}");
    }
}

#[test]
fn what_is_always_answered_is_required_even_where_it_is_null() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let requires = |name: &str, field: &str| {
        let required = schemas[name]["required"].as_array();
        required.is_some_and(|all| all.iter().any(|name| name == field))
    };
    for (name, field) in [
        ("Transcription", "error"),
        ("Transcription", "batch_id"),
        ("TranscriptionList", "next_cursor"),
        ("Delivery", "next_try_at"),
        ("TranscriptionEventData", "status_reason"),
    ] {
        assert!(requires(name, field), "{name}.{field}");
    }
    for (name, field) in [
        // Left out where it is not asked for, or not there.
        ("Transcription", "result"),
        ("Problem", "erased"),
        // Callers need not send it, and Gladia need not.
        ("CreateWebhookEndpoint", "description"),
        ("TranscriptionOptions", "model"),
        ("TranscriptionResult", "summarization"),
    ] {
        assert!(!requires(name, field), "{name}.{field}");
    }
}
