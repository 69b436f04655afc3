//! The twin of the document in version 3.0, for programs that read no newer one: the same operations and names.
//!
//! 3.1 has the schemas of JSON Schema; 3.0 has a dialect of its own, which knows no `null`, no constants and one example.
//! What the gateway sends of its own accord has no place in 3.0, and stands under `x-webhooks`. Streams are plain text.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    later, streams,
    walk::{inside, members, outermost_schemas, reference, referred},
};

/// A component that is a list or something else makes old generators write programs that do not compile. This one is the first
/// of its alternatives there: Gladia sends nothing but the list.
const FIRST_ALONE: &str = "SentimentResults";

/// And this one may be anything there, for which every language has a type: answers show a flag or a list, whichever was sent.
const ANYTHING: &str = "CustomVocabulary";

/// Derives it from the document in version 3.1.
pub(super) fn derive(mut document: Value) -> Value {
    document["openapi"] = "3.0.3".into();
    if let Some(license) = document
        .pointer_mut("/info/license")
        .and_then(Value::as_object_mut)
    {
        license.remove("identifier");
    }
    if let Some(fields) = document.as_object_mut()
        && let Some(webhooks) = fields.remove("webhooks")
    {
        fields.insert("x-webhooks".to_owned(), webhooks);
    }
    streams::as_text(&mut document);
    later::write_as_text(&mut document);
    take_the_first(&mut document["components"]["schemas"][FIRST_ALONE]);
    if let Some(fields) = document["components"]["schemas"][ANYTHING].as_object_mut() {
        fields.remove("oneOf");
    }
    outermost_schemas(&mut document, &mut convert);
    for component in members(&mut document["components"]["schemas"]) {
        leave_out_instead_of_null(component);
    }
    write_options_as_text(&mut document);
    write_exports_as_files(&mut document);
    leave_out_examples(&mut document);
    document
}

fn take_the_first(schema: &mut Value) {
    let first = schema["oneOf"][0].take();
    if let (Some(fields), Value::Object(first)) = (schema.as_object_mut(), first) {
        fields.remove("oneOf");
        for (key, value) in first {
            fields.entry(key).or_insert(value);
        }
    }
}

/// What may be left out need not be null as well, for which some languages need a type in a type. But of what Gladia sends,
/// which may have fields that nobody knows, a field may be both; so may a list, for which generated Java sends an empty one where
/// it is left out.
fn leave_out_instead_of_null(component: &mut Value) {
    let is_gladias = component["additionalProperties"].is_object();
    let required = component["required"].clone();
    let is_required = |name: &str| {
        let mut names = required.as_array().into_iter().flatten();
        names.any(|required| required == name)
    };
    let fields = component
        .get_mut("properties")
        .and_then(Value::as_object_mut);
    for (name, field) in fields.into_iter().flatten() {
        if let Some(field) = field.as_object_mut()
            && !is_gladias
            && !is_required(name)
            && field.get("type").is_none_or(|kind| kind != "array")
        {
            field.remove("nullable");
        }
    }
}

/// Of a part of a form that is JSON, old generators make something else. They write text as it is.
fn write_options_as_text(document: &mut Value) {
    let form = &mut document["components"]["schemas"]["TranscriptionForm"];
    form["properties"]["options"] = json!({
        "type": "string",
        "description": "`CreateTranscriptionOptions`, as JSON. Send them before the file, and they are checked before it is sent on.",
        "x-content-schema": reference("CreateTranscriptionOptions"),
    });
    document["paths"]["/v1/transcriptions/upload"]["post"]["requestBody"]["content"]["multipart/form-data"]
        ["examples"]["with_options"]["value"]["options"] = "{\"diarization\":true}".into();
}

/// Of text, old generators write programs that take `text/plain` alone, or JSON; of files, such that take any.
fn write_exports_as_files(document: &mut Value) {
    let export = &mut document["paths"]["/v1/transcriptions/{id}/export/{format}"]["get"];
    for body in members(&mut export["responses"]["200"]["content"]) {
        body["schema"] = json!({ "type": "string", "format": "binary" });
    }
}

/// Generators take a reference beside `nullable` for something that may be null; those who check examples do not. What holds
/// such a thing has its examples in the newer document alone.
fn leave_out_examples(document: &mut Value) {
    let mut components = document["components"]["schemas"].take();
    let mut open: BTreeSet<String> = BTreeSet::new();
    loop {
        let before = open.len();
        for (name, schema) in components.as_object_mut().into_iter().flatten() {
            if holds_open_null(schema, &open) {
                open.insert(name.clone());
            }
        }
        if open.len() == before {
            break;
        }
    }
    media_types(document, &mut |body| {
        if let Some(schema) = body.get_mut("schema")
            && holds_open_null(schema, &open)
        {
            body.remove("examples");
        }
    });
    document["components"]["schemas"] = components;
}

fn holds_open_null(schema: &mut Value, open: &BTreeSet<String>) -> bool {
    let is_open = schema["nullable"] == true && schema.get("type").is_none();
    let refers = referred(schema).is_some_and(|name| open.contains(name));
    let fields = schema.as_object_mut();
    is_open
        || refers
        || fields.is_some_and(|fields| inside(fields).any(|schema| holds_open_null(schema, open)))
}

/// Visits every media type.
fn media_types(part: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    if let Some(content) = part.get_mut("content") {
        members(content)
            .filter_map(Value::as_object_mut)
            .for_each(&mut *visit);
    }
    members(part).for_each(|part| media_types(part, visit));
}

/// Rewrites a schema and what is inside of it.
fn convert(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    allow_null(fields);
    bound(fields);
    name_bytes(fields);
    if let Some(value) = fields.remove("const") {
        fields.insert("enum".to_owned(), json!([value]));
    }
    if let Some(examples) = fields.remove("examples")
        && let Some(first) = examples.as_array().and_then(|all| all.first())
    {
        fields.entry("example").or_insert_with(|| first.clone());
    }
    fields.remove("propertyNames");
    wrap_reference(fields);
    // An alternative is a reference alone, by which generators find its name.
    for key in ["oneOf", "anyOf"] {
        for alternative in fields
            .get_mut(key)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(reference) = alternative.get("$ref").cloned() {
                *alternative = json!({ "$ref": reference });
            }
        }
    }
    inside(fields).for_each(convert);
}

/// Null is no type there, but a property of other types.
fn allow_null(fields: &mut Map<String, Value>) {
    let mut nullable = false;
    if let Some(types) = fields.get("type").and_then(Value::as_array) {
        let mut types = types.clone();
        types.retain(|name| name != "null");
        nullable = true;
        match types.as_slice() {
            [only] => {
                fields.insert("type".to_owned(), only.clone());
            }
            several => {
                let each: Vec<Value> = several.iter().map(|name| json!({ "type": name })).collect();
                fields.remove("type");
                fields.insert("anyOf".to_owned(), each.into());
            }
        }
    }
    for key in ["oneOf", "anyOf"] {
        let Some(alternatives) = fields.get_mut(key).and_then(Value::as_array_mut) else {
            continue;
        };
        let before = alternatives.len();
        alternatives.retain(|alternative| alternative["type"] != "null");
        if alternatives.len() == before {
            continue;
        }
        nullable = true;
        if let [_] = alternatives.as_slice()
            && let Some(Value::Array(mut only)) = fields.remove(key)
            && let Some(Value::Object(only)) = only.pop()
        {
            // What is said of the field is more than what is said of its type.
            for (key, value) in only {
                fields.entry(key).or_insert(value);
            }
        }
    }
    if nullable {
        fields.insert("nullable".to_owned(), true.into());
    }
}

/// Bounds that are left out themselves are flags of the others.
fn bound(fields: &mut Map<String, Value>) {
    for (exclusive, inclusive) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        if fields.get(exclusive).is_some_and(Value::is_number)
            && let Some(limit) = fields.insert(exclusive.to_owned(), true.into())
        {
            fields.insert(inclusive.to_owned(), limit);
        }
    }
}

/// Bytes are a format of text.
fn name_bytes(fields: &mut Map<String, Value>) {
    let format = match fields.remove("contentEncoding") {
        Some(_) => "byte",
        None => "binary",
    };
    if fields.remove("contentMediaType").is_some() {
        fields.entry("format").or_insert_with(|| format.into());
    }
}

/// Nothing may stand beside a reference.
fn wrap_reference(fields: &mut Map<String, Value>) {
    if fields.len() > 1
        && let Some(reference) = fields.remove("$ref")
    {
        fields.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(mut schema: Value) -> Value {
        convert(&mut schema);
        schema
    }

    #[test]
    fn what_may_be_null_is_nullable() {
        for (newer, older) in [
            (
                json!({ "type": ["string", "null"], "format": "uri" }),
                json!({ "type": "string", "nullable": true, "format": "uri" }),
            ),
            (
                json!({ "oneOf": [{ "$ref": "#/A", "description": "Why." }, { "type": "null" }] }),
                json!({ "allOf": [{ "$ref": "#/A" }], "description": "Why.", "nullable": true }),
            ),
            (
                json!({ "oneOf": [{ "$ref": "#/A" }, { "type": "null" }], "description": "Of the field." }),
                json!({ "allOf": [{ "$ref": "#/A" }], "description": "Of the field.", "nullable": true }),
            ),
            (
                json!({ "oneOf": [{ "$ref": "#/A" }, { "type": "string" }, { "type": "null" }] }),
                json!({ "oneOf": [{ "$ref": "#/A" }, { "type": "string" }], "nullable": true }),
            ),
            (
                json!({ "type": ["string", "integer", "null"] }),
                json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }], "nullable": true }),
            ),
        ] {
            assert_eq!(converted(newer), older);
        }
    }

    #[test]
    fn references_stand_alone_and_alternatives_keep_their_names() {
        assert_eq!(
            converted(json!({ "$ref": "#/A", "description": "What." })),
            json!({ "allOf": [{ "$ref": "#/A" }], "description": "What." })
        );
        assert_eq!(
            converted(
                json!({ "oneOf": [{ "$ref": "#/A", "description": "One." }, { "$ref": "#/B" }] })
            ),
            json!({ "oneOf": [{ "$ref": "#/A" }, { "$ref": "#/B" }] })
        );
    }

    #[test]
    fn constants_bounds_bytes_and_examples_are_said_in_the_older_words() {
        assert_eq!(
            converted(json!({ "type": "object", "properties": {
                "a": { "const": 1 },
                "b": { "type": "number", "exclusiveMinimum": 0 },
                "c": { "type": "string", "contentMediaType": "application/octet-stream" },
                "d": { "type": "string", "contentEncoding": "base64", "contentMediaType": "image/png" },
                "e": { "type": "string", "examples": ["x", "y"] },
                "examples": { "type": ["boolean", "null"] },
            }, "propertyNames": { "type": "string" } })),
            json!({ "type": "object", "properties": {
                "a": { "enum": [1] },
                "b": { "type": "number", "minimum": 0, "exclusiveMinimum": true },
                "c": { "type": "string", "format": "binary" },
                "d": { "type": "string", "format": "byte" },
                "e": { "type": "string", "example": "x" },
                "examples": { "type": "boolean", "nullable": true },
            } })
        );
    }
}
