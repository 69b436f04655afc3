//! Values to which later versions may add: an answer with one that is not known breaks no client.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::walk::{reached, referred, schemas};

/// The enumerations that such values belong to. Where callers send one, none but those are taken.
const GROWING: [&str; 8] = [
    "DeadReason",
    "DisabledReason",
    "StatusReason",
    "StepCode",
    "StepReason",
    "TranscriptionErrorType",
    "UpstreamStatus",
    "WarningCode",
];

const MORE: &str = "Later versions may have more values.";

/// Wherever callers read such a value it may be any text. Parameters refer to the enumerations themselves.
pub(super) fn allow(document: &mut Value) {
    schemas(&mut document["components"], &mut |schema| {
        let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
        for field in fields.into_iter().flat_map(Map::values_mut) {
            let Some(field) = field.as_object_mut() else {
                continue;
            };
            let alone = field.get("$ref").map(|target| json!([{ "$ref": target }]));
            let known = alone.or_else(|| field.get("oneOf").cloned());
            let Some(Value::Array(mut alternatives)) = known else {
                continue;
            };
            if !alternatives.first().is_some_and(is_growing) {
                continue;
            }
            alternatives.insert(1, json!({ "type": "string" }));
            field.remove("$ref");
            field.remove("oneOf");
            field.insert("anyOf".to_owned(), alternatives.into());
            say(field, MORE);
        }
    });
}

/// Generators that read no newer version than 3.0 make nothing of such alternatives: there it is text, and its description has
/// the values.
pub(super) fn write_as_text(document: &mut Value) {
    let components = document["components"]["schemas"].clone();
    schemas(&mut document["components"], &mut |schema| {
        let alternatives = schema.get("anyOf").and_then(Value::as_array);
        let Some(alternatives) = alternatives.filter(|all| all.first().is_some_and(is_growing))
        else {
            return;
        };
        let name = referred(&alternatives[0]).unwrap_or_default();
        let values = components[name]["enum"].as_array().into_iter().flatten();
        let values: Vec<String> = values
            .filter_map(Value::as_str)
            .map(|value| format!("`{value}`"))
            .collect();
        let is_nullable = alternatives.iter().any(|one| one["type"] == "null");
        let kind = if is_nullable {
            json!(["string", "null"])
        } else {
            json!("string")
        };
        schema.remove("anyOf");
        schema.insert("type".to_owned(), kind);
        say(
            schema,
            &format!("Those of this one: {}.", values.join(", ")),
        );
    });
    let mut left = BTreeSet::new();
    reached(document, &mut left);
    if let Some(components) = document["components"]["schemas"].as_object_mut() {
        components.retain(|name, _| left.contains(name) || !GROWING.contains(&name.as_str()));
    }
}

fn is_growing(schema: &Value) -> bool {
    referred(schema).is_some_and(|name| GROWING.contains(&name))
}

fn say(schema: &mut Map<String, Value>, more: &str) {
    let said = schema.get("description").and_then(Value::as_str);
    let all = said.map_or_else(|| more.to_owned(), |said| format!("{said} {more}"));
    schema.insert("description".to_owned(), all.into());
}
