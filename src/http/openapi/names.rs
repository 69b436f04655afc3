//! Names for what has none of its own in Rust, so that generated clients need not invent any.

use serde_json::{Map, Value, json};

use super::walk::{members, reference, schemas};

/// Objects with keys that callers or Gladia choose: the field, the name of its component, and what it says.
const FREE: [(&str, &str, &str); 5] = [
    (
        "custom_metadata",
        "CustomMetadata",
        "What a caller notes on a transcription, for purposes of its own.",
    ),
    (
        "extra_options",
        "ExtraOptions",
        "Options for Gladia that this version of the gateway does not know.",
    ),
    (
        "upstream_body",
        "UpstreamBody",
        "The body of a request to Gladia.",
    ),
    (
        "spelling_dictionary",
        "SpellingDictionary",
        "Wanted spellings, each with the variants that it replaces.",
    ),
    (
        "metadata",
        "UsageMetadata",
        "Keys of `custom_metadata`, each with its value as text.",
    ),
];

/// Names them.
pub(super) fn add(document: &mut Value) {
    variants(document);
    enums(document);
    free_objects(document);
}

/// The variants of a component that have a title become components under that name.
fn variants(document: &mut Value) {
    let Some(components) = document["components"]["schemas"].as_object_mut() else {
        return;
    };
    let mut found = Map::new();
    for schema in components.values_mut() {
        for variant in members(schema.get_mut("oneOf").unwrap_or(&mut Value::Null)) {
            let Some(title) = variant["title"].as_str().map(str::to_owned) else {
                continue;
            };
            let mut named = std::mem::replace(variant, reference(&title));
            if let Some(fields) = named.as_object_mut() {
                fields.remove("title");
            }
            let fields = named.get_mut("properties").and_then(Value::as_object_mut);
            for (field, declared) in fields.into_iter().flatten() {
                // The word that tells the variants apart.
                if declared["enum"].is_array() {
                    let name = format!("{title}{}", capitalized(field));
                    found.insert(name.clone(), std::mem::replace(declared, reference(&name)));
                }
            }
            found.insert(title, named);
        }
    }
    components.append(&mut found);
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// A field that repeats an enumeration, because a reference cannot be marked as deprecated, refers to it after all.
fn enums(document: &mut Value) {
    let enums: Vec<(Value, String)> = document["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, schema)| Some((schema.get("enum")?.clone(), name.clone())))
        .collect();
    schemas(document, &mut |schema| {
        for field in members(schema.get_mut("properties").unwrap_or(&mut Value::Null)) {
            let Some(values) = field["enum"].as_array() else {
                continue;
            };
            if !values.contains(&Value::Null) {
                continue;
            }
            let values: Vec<&Value> = values.iter().filter(|value| !value.is_null()).collect();
            let name = enums.iter().find(|(known, _)| {
                known
                    .as_array()
                    .is_some_and(|known| known.iter().eq(values.iter().copied()))
            });
            if let (Some((_, name)), Some(fields)) = (name, field.as_object_mut()) {
                fields.remove("enum");
                fields.remove("type");
                fields.insert(
                    "oneOf".to_owned(),
                    json!([reference(name), { "type": "null" }]),
                );
            }
        }
    });
}

/// Objects of which the keys are not known become components.
fn free_objects(document: &mut Value) {
    let mut found = Map::new();
    schemas(document, &mut |schema| {
        let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
            return;
        };
        for (field, value) in fields {
            let Some((_, name, description)) = FREE.iter().find(|(known, ..)| known == field)
            else {
                continue;
            };
            let Some(declared) = value.as_object_mut() else {
                continue;
            };
            let is_nullable = match declared.get("type") {
                Some(Value::String(kind)) if kind == "object" => false,
                Some(Value::Array(kinds)) if kinds.iter().any(|kind| kind == "object") => true,
                _ => continue,
            };
            let mut component = json!({ "type": "object", "description": description });
            component["additionalProperties"] = declared
                .remove("additionalProperties")
                .unwrap_or_else(|| true.into());
            found.entry(*name).or_insert(component);
            declared.remove("type");
            declared.remove("propertyNames");
            if is_nullable {
                let alternatives = json!([reference(name), { "type": "null" }]);
                declared.insert("oneOf".to_owned(), alternatives);
            } else if let Value::Object(reference) = reference(name) {
                declared.extend(reference);
            }
        }
    });
    if let Some(components) = document["components"]["schemas"].as_object_mut() {
        components.append(&mut found);
    }
}
