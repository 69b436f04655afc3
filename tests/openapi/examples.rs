//! Every body has examples, and each is what its schema says.

use serde_json::{Value, json};

use super::{METHODS, document, operations};

/// A media type object with its place.
struct Body<'a> {
    place: String,
    media_type: &'a str,
    value: &'a Value,
}

/// Every body of an operation: its request's, and its responses'.
fn bodies<'a>(name: &str, operation: &'a Value) -> Vec<Body<'a>> {
    let responses = operation["responses"].as_object().unwrap();
    let parts = responses
        .iter()
        .map(|(status, response)| (status.as_str(), response))
        .chain([("request", &operation["requestBody"])]);
    parts
        .flat_map(|(part, value)| {
            let content = value["content"].as_object().into_iter().flatten();
            content.map(move |(media_type, value)| (part, media_type, value))
        })
        .map(|(part, media_type, value)| Body {
            place: format!("{name} {part} {media_type}"),
            media_type,
            value,
        })
        .collect()
}

/// The operations of the API and those that callers receive.
pub(super) fn all_operations(document: &Value) -> Vec<(String, &Value)> {
    let mut all = operations(document);
    for (name, operation) in operations(document) {
        let callbacks = operation["callbacks"].as_object().into_iter().flatten();
        for (_, callback) in callbacks {
            for item in callback.as_object().unwrap().values() {
                for method in METHODS.iter().filter(|method| item[**method].is_object()) {
                    all.push((format!("{name} callback {method}"), &item[*method]));
                }
            }
        }
    }
    for (name, item) in document["webhooks"].as_object().unwrap() {
        all.push((name.clone(), &item["post"]));
    }
    all
}

/// The examples of a body, by name.
fn examples<'a>(document: &'a Value, body: &'a Value) -> Vec<(&'a str, &'a Value)> {
    let examples = body["examples"].as_object().into_iter().flatten();
    examples
        .map(|(name, example)| {
            let example = example["$ref"].as_str().map_or(example, |target| {
                let pointer = target.strip_prefix('#').unwrap();
                document.pointer(pointer).expect("the example is there")
            });
            (name.as_str(), &example["value"])
        })
        .collect()
}

#[test]
fn every_body_has_an_example() {
    let document = document();
    for (name, operation) in all_operations(&document) {
        for body in bodies(&name, operation) {
            let found = examples(&document, body.value);
            assert!(!found.is_empty(), "{} has no example", body.place);
        }
    }
}

#[test]
fn every_example_is_what_its_schema_says() {
    let document = document();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for (name, operation) in all_operations(&document) {
        for body in bodies(&name, operation) {
            let mut schema = body.value["schema"].clone();
            schema["components"] = document["components"].clone();
            let validator = jsonschema::options()
                .should_validate_formats(true)
                .build(&schema)
                .unwrap();
            for (example, value) in examples(&document, body.value) {
                checked += 1;
                for error in validator.iter_errors(value) {
                    let at = error.instance_path();
                    wrong.push(format!("{} {example}: {error} at {at}", body.place));
                }
                if body.media_type.ends_with("json") {
                    assert!(!validator.is_valid(&json!(17)), "{} takes all", body.place);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked > 100, "{checked}");
}

#[test]
fn every_example_inside_a_schema_is_what_that_says() {
    fn check(document: &Value, place: &str, schema: &Value) {
        for example in schema["examples"].as_array().into_iter().flatten() {
            let mut whole = schema.clone();
            whole["components"] = document["components"].clone();
            let validator = jsonschema::validator_for(&whole).unwrap();
            assert!(validator.is_valid(example), "{place}: {example}");
        }
        for (field, inner) in schema["properties"].as_object().into_iter().flatten() {
            check(document, &format!("{place}.{field}"), inner);
        }
    }
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        check(&document, name, schema);
    }
}

#[test]
fn an_example_names_only_fields_that_there_are() {
    fn check(document: &Value, place: &str, schema: &Value, value: &Value) {
        let target = schema["$ref"]
            .as_str()
            .and_then(|text| text.strip_prefix('#'));
        let schema = target.map_or(schema, |pointer| document.pointer(pointer).unwrap());
        let parts: Vec<&Value> = ["allOf", "oneOf"]
            .iter()
            .filter_map(|key| schema[*key].as_array())
            .flatten()
            .collect();
        if let Some(items) = value.as_array() {
            for item in items {
                check(document, place, &schema["items"], item);
            }
        }
        let Some(fields) = value.as_object() else {
            return;
        };
        // What may have any fields, or is one of several things, is looked at by its schema alone.
        if !schema["oneOf"].is_null() || schema["properties"].is_null() && parts.is_empty() {
            return;
        }
        for (field, value) in fields {
            let declared = declared(document, schema, field)
                .unwrap_or_else(|| panic!("{place}: there is no {field}"));
            check(document, &format!("{place}.{field}"), declared, value);
        }
    }
    fn declared<'a>(document: &'a Value, schema: &'a Value, field: &str) -> Option<&'a Value> {
        let target = schema["$ref"]
            .as_str()
            .and_then(|text| text.strip_prefix('#'));
        let schema = target.map_or(schema, |pointer| document.pointer(pointer).unwrap());
        schema["properties"].get(field).or_else(|| {
            let mut parts = schema["allOf"].as_array()?.iter();
            parts.find_map(|part| declared(document, part, field))
        })
    }
    let document = document();
    for (name, operation) in all_operations(&document) {
        for body in bodies(&name, operation) {
            for (example, value) in examples(&document, body.value) {
                let place = format!("{} {example}", body.place);
                check(&document, &place, &body.value["schema"], value);
            }
        }
    }
}
