//! Examples of every body.
//!
//! They stand in `examples.json`: by the name of a component under `bodies`, by operation, status and media type under
//! `texts` for what is no JSON, and by the type of problem under `problems`. Tests hold each against its schema.

use serde_json::{Map, Value, json};

use super::walk::{self, members, referred};
use crate::{domain::plain_json, http::problem::ProblemType};

const EXAMPLES: &str = include_str!("examples.json");

/// Adds them.
pub(super) fn add(document: &mut Value) {
    let examples = plain_json::from_str(EXAMPLES).expect("the examples are JSON");
    add_problems(document, &examples["problems"]);
    for operation in walk::operations(document) {
        let id = operation.id().to_owned();
        let value = operation.value;
        add_to_bodies(value, &examples["bodies"]);
        let responses = value["responses"].as_object_mut();
        for (status, response) in responses.into_iter().flatten() {
            let content = response.get_mut("content").and_then(Value::as_object_mut);
            for (media_type, body) in content.into_iter().flatten() {
                if let Some(text) = examples["texts"].get(format!("{id} {status} {media_type}")) {
                    body["examples"] = json!({ "one": { "value": text } });
                }
            }
        }
    }
    let Some(webhooks) = document.get_mut("webhooks") else {
        return;
    };
    for item in members(webhooks) {
        add_to_bodies(&mut item["post"], &examples["bodies"]);
    }
}

/// Adds to an operation's bodies, and to those of its callbacks, the examples of their components.
fn add_to_bodies(part: &mut Value, bodies: &Value) {
    let Value::Object(fields) = part else {
        return members(part).for_each(|part| add_to_bodies(part, bodies));
    };
    for (key, value) in fields {
        if key != "content" {
            add_to_bodies(value, bodies);
            continue;
        }
        for body in members(value) {
            // A body that may be null is one of two things.
            let alternatives = body["schema"]["oneOf"].as_array().into_iter().flatten();
            let name =
                referred(&body["schema"]).or_else(|| alternatives.clone().find_map(referred));
            let Some(named) = name.and_then(|name| bodies[name].as_object()) else {
                continue;
            };
            let named: Map<String, Value> = named
                .iter()
                .map(|(name, value)| (name.clone(), json!({ "value": value })))
                .collect();
            body["examples"] = named.into();
        }
    }
}

/// One for each type of problem that an operation refers to.
fn add_problems(document: &mut Value, examples: &Value) {
    let text = document["paths"].to_string();
    for kind in ProblemType::ALL {
        let slug = kind.slug();
        if !text.contains(&format!("\"#/components/examples/{slug}\"")) {
            continue;
        }
        let mut problem = json!({
            "type": format!("urn:gladia-gateway:problem:{slug}"),
            "title": kind.title(),
            "status": kind.status().as_u16(),
            "request_id": "0196f0c2-8a4e-7b1d-9c55-2f6f3b1f0a11",
        });
        for (key, value) in examples[slug].as_object().into_iter().flatten() {
            problem[key] = value.clone();
        }
        document["components"]["examples"][slug] =
            json!({ "summary": kind.title(), "value": problem });
    }
}
