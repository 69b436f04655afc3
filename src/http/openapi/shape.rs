//! Shapes that generators of clients make good names and types of.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    strict,
    walk::{self, members, reference, referred, schemas},
};
use crate::domain::event::EventId;

/// Mends what the annotations of handlers and types cannot say.
pub(super) fn mend(document: &mut Value) {
    leave_out_instead_of_null(document);
    describe_outside(document);
    let sent = strict::sent(document);
    require_what_is_there(document, &sent);
    flatten(document);
    strict::bound_addresses(document, &sent);
    strict::show_apart(document);
    strict::close(document);
    bound_parameters(document);
    schemas(document, &mut |schema| {
        open_objects(schema);
        list_examples(schema);
    });
    tell_bytes(document);
    discriminate(document);
    link_pages(document);
}

/// A parameter or a header is left out; it is not null. A body can be, since generated clients send that for one left out.
fn leave_out_instead_of_null(document: &mut Value) {
    fn strip(schema: &mut Value) {
        if let Some(types) = schema["type"].as_array() {
            let types: Vec<Value> = types
                .iter()
                .filter(|name| *name != "null")
                .cloned()
                .collect();
            if let [only] = types.as_slice() {
                schema["type"] = only.clone();
            }
        } else if let Some([only, other]) = schema["oneOf"].as_array().map(Vec::as_slice)
            && other["type"] == "null"
        {
            *schema = reference(referred(only).unwrap_or_default());
        }
    }
    for operation in walk::operations(document) {
        let value = operation.value;
        if let Some(parameters) = value.get_mut("parameters") {
            members(parameters).for_each(|parameter| strip(&mut parameter["schema"]));
        }
        for response in members(&mut value["responses"]) {
            if let Some(headers) = response.get_mut("headers") {
                members(headers).for_each(|header| strip(&mut header["schema"]));
            }
        }
    }
}

/// Nothing stands beside a reference among alternatives: what is said of the one that is not null is said of the whole.
fn describe_outside(document: &mut Value) {
    schemas(document, &mut |schema| {
        let alternatives = schema.get_mut("oneOf").and_then(Value::as_array_mut);
        let mut said = None;
        for alternative in alternatives.into_iter().flatten() {
            if let Some(name) = referred(alternative).map(str::to_owned) {
                said = said.or(alternative["description"].as_str().map(str::to_owned));
                *alternative = reference(&name);
            }
        }
        if let Some(said) = said {
            schema.entry("description").or_insert(said.into());
        }
    });
}

/// What the gateway answers has all of its fields, null or not, but for those that it leaves out instead. What callers send
/// and what is Gladia's may lack any.
fn require_what_is_there(document: &mut Value, sent: &BTreeSet<String>) {
    let Some(components) = document["components"]["schemas"].as_object_mut() else {
        return;
    };
    for (name, schema) in components {
        if sent.contains(name) {
            continue;
        }
        require(schema);
        // A component that extends another has fields of its own.
        if let Some(parts) = schema.get_mut("allOf") {
            members(parts).for_each(require);
        }
    }
}

fn require(schema: &mut Value) {
    if schema.get("additionalProperties").is_some() {
        return;
    }
    let fields = schema.get("properties").and_then(Value::as_object);
    let nullable: Vec<Value> = fields
        .into_iter()
        .flatten()
        .filter(|(_, field)| allows_null(field))
        .map(|(name, _)| name.as_str().into())
        .collect();
    if nullable.is_empty() {
        return;
    }
    if !schema["required"].is_array() {
        schema["required"] = json!([]);
    }
    if let Some(required) = schema["required"].as_array_mut() {
        required.extend(nullable);
    }
}

fn allows_null(schema: &Value) -> bool {
    let is_null = |part: &Value| part == "null" || part["type"] == "null";
    let any = |key: &str| {
        schema[key]
            .as_array()
            .is_some_and(|all| all.iter().any(is_null))
    };
    any("type") || any("oneOf")
}

/// A component that extends another has the fields of both.
fn flatten(document: &mut Value) {
    let Some(components) = document["components"]["schemas"].as_object_mut() else {
        return;
    };
    let before = components.clone();
    for schema in components.values_mut() {
        let Some(parts) = schema.get_mut("allOf").map(Value::take) else {
            continue;
        };
        let (mut fields, mut required) = (Map::new(), Vec::new());
        for part in parts.as_array().into_iter().flatten() {
            let part = referred(part).map_or(part, |name| &before[name]);
            let declared = part["properties"].as_object().into_iter().flatten();
            fields.extend(declared.map(|(name, field)| (name.clone(), field.clone())));
            required.extend(part["required"].as_array().into_iter().flatten().cloned());
        }
        let description = schema["description"].take();
        *schema = json!({ "type": "object", "description": description, "properties": fields });
        if !required.is_empty() {
            schema["required"] = required.into();
        }
    }
}

/// What parameters have to look like, where their types do not say it: what does not is refused.
const PATTERNS: [(&str, &str); 7] = [
    ("Idempotency-Key", "^[!-~]([ -~]{0,253}[!-~])?$"),
    ("cursor", "^[A-Za-z0-9_-]+$"),
    ("after", "^(evt_(0|[1-9][0-9]{0,17})|latest)$"),
    ("Last-Event-ID", EventId::PATTERN),
    ("tenant", "^[a-z0-9_.-]{1,63}$"),
    ("from", DATE_OR_INSTANT),
    ("to", DATE_OR_INSTANT),
];

const DATE_OR_INSTANT: &str =
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2}))?$";

fn bound_parameters(document: &mut Value) {
    for operation in walk::operations(document) {
        let parameters = operation.value.get_mut("parameters");
        for parameter in members(parameters.unwrap_or(&mut Value::Null)) {
            if parameter["name"] == "types" {
                parameter["style"] = "form".into();
                parameter["explode"] = false.into();
                parameter["schema"]["minItems"] = 1.into();
            }
            let pattern = PATTERNS.iter().find(|(name, _)| parameter["name"] == *name);
            if let Some((_, pattern)) = pattern
                && parameter["schema"]["type"] == "string"
            {
                parameter["schema"]["pattern"] = (*pattern).into();
            }
        }
    }
}

/// An object of which no fields are known takes any. That keys are text goes without saying.
fn open_objects(schema: &mut Map<String, Value>) {
    schema.remove("propertyNames");
    let is_object = match &schema.get("type") {
        Some(Value::String(name)) => name == "object",
        Some(Value::Array(names)) => names.iter().any(|name| name == "object"),
        _ => false,
    };
    if is_object && !schema.contains_key("properties") {
        schema
            .entry("additionalProperties")
            .or_insert_with(|| true.into());
    }
}

/// `example` is deprecated in schemas.
fn list_examples(schema: &mut Map<String, Value>) {
    if let Some(example) = schema.remove("example") {
        schema.insert("examples".to_owned(), json!([example]));
    }
}

/// Bytes are no list of numbers.
fn tell_bytes(document: &mut Value) {
    for operation in walk::operations(document) {
        for response in members(&mut operation.value["responses"]) {
            if let Some(content) = response.pointer_mut("/content/application~1octet-stream") {
                content["schema"] = json!({ "type": "string", "format": "binary" });
            }
        }
    }
}

/// Where one field tells the alternatives of a component apart, it says so.
fn discriminate(document: &mut Value) {
    let Some(components) = document["components"]["schemas"].as_object() else {
        return;
    };
    let found: Vec<(String, Value)> = components
        .iter()
        .filter_map(|(name, schema)| {
            let alternatives = schema["oneOf"].as_array()?;
            let discriminator = discriminator(components, alternatives)?;
            Some((name.clone(), discriminator))
        })
        .collect();
    for (name, discriminator) in found {
        document["components"]["schemas"][name]["discriminator"] = discriminator;
    }
}

/// The field, which every alternative has to have, with values that no other has.
fn discriminator(components: &Map<String, Value>, alternatives: &[Value]) -> Option<Value> {
    let names: Vec<&str> = alternatives.iter().map(referred).collect::<Option<_>>()?;
    let (first, _) = names.split_first()?;
    let fields = components[*first]["properties"].as_object()?;
    fields.keys().find_map(|field| {
        let mut mapping = Map::new();
        for name in &names {
            let alternative = &components[*name];
            let required = alternative["required"].as_array()?;
            if !required.iter().any(|name| name == field) {
                return None;
            }
            let declared = &alternative["properties"][field];
            let declared = referred(declared).map_or(declared, |name| &components[name]);
            for value in declared["enum"].as_array()? {
                let target = reference(name)["$ref"].clone();
                if mapping.insert(value.as_str()?.to_owned(), target).is_some() {
                    return None;
                }
            }
        }
        Some(json!({ "propertyName": field, "mapping": mapping }))
    })
}

/// A page says with its cursor how the next one is asked for. Not where there are filters: they belong to the cursor, and a link
/// cannot say that all of them are given again.
fn link_pages(document: &mut Value) {
    for operation in walk::operations(document) {
        let mut query: Vec<_> = operation.parameters("query").collect();
        query.sort_unstable();
        if query != ["cursor", "limit"] {
            continue;
        }
        let mut parameters = json!({ "cursor": "$response.body#/next_cursor" });
        for name in operation.parameters("path") {
            parameters[name] = format!("$request.path.{name}").into();
        }
        let id = operation.id().to_owned();
        operation.value["responses"]["200"]["links"]["next_page"] = json!({
            "description": "The next page, unless `next_cursor` is null.",
            "operationId": id,
            "parameters": parameters,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_a_schema_is_reached_and_data_is_not() {
        let mut document = json!({ "components": { "schemas": { "A": {
            "type": "object", "properties": { "example": { "type": "string", "example": "x" } },
            "examples": [{ "schema": { "example": 1 } }],
        } } } });
        schemas(&mut document, &mut list_examples);
        let schema = &document["components"]["schemas"]["A"];
        assert_eq!(schema["properties"]["example"]["examples"], json!(["x"]));
        assert_eq!(schema["examples"][0]["schema"]["example"], 1);
    }
}
