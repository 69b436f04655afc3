//! Finding one's way in a document.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Where the components stand that are schemas.
pub(super) const SCHEMAS: &str = "#/components/schemas/";

/// What stands in a document as data, and is no part of its structure.
const DATA: [&str; 6] = ["example", "examples", "default", "enum", "const", "value"];

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// An operation of the API, with its place.
pub(super) struct Operation<'a> {
    pub path: &'a str,
    pub method: &'a str,
    pub value: &'a mut Value,
}

/// Every operation of the API.
pub(super) fn operations(document: &mut Value) -> impl Iterator<Item = Operation<'_>> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let operations = item.as_object_mut().into_iter().flatten();
        operations
            .filter(|(method, _)| METHODS.contains(&method.as_str()))
            .map(move |(method, value)| Operation {
                path,
                method,
                value,
            })
    })
}

impl Operation<'_> {
    pub(super) fn id(&self) -> &str {
        self.value["operationId"].as_str().unwrap_or_default()
    }

    /// Its parameters at a place: `query`, `header`, `path`.
    pub(super) fn parameters(&self, place: &str) -> impl Iterator<Item = &str> {
        let all = self.value["parameters"].as_array().into_iter().flatten();
        all.filter(move |parameter| parameter["in"] == place)
            .filter_map(|parameter| parameter["name"].as_str())
    }

    /// Whether its body may be of this type.
    pub(super) fn takes(&self, media_type: &str) -> bool {
        let pointer = format!(
            "/requestBody/content/{}",
            media_type.replace('~', "~0").replace('/', "~1")
        );
        self.value.pointer(&pointer).is_some()
    }
}

/// The name of the component that a schema refers to.
pub(super) fn referred(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix(SCHEMAS)
}

/// A schema that refers to a component.
pub(super) fn reference(name: &str) -> Value {
    serde_json::json!({ "$ref": format!("{SCHEMAS}{name}") })
}

/// The components that a part of the document refers to.
pub(super) fn reached(part: &mut Value, found: &mut BTreeSet<String>) {
    found.extend(referred(part).map(str::to_owned));
    members(part).for_each(|part| reached(part, found));
}

/// Visits every schema that stands at a parameter, a header, a media type or among the components, from the outside in.
/// Not what is inside of it: see [`inside`].
pub(super) fn outermost_schemas(part: &mut Value, visit: &mut impl FnMut(&mut Value)) {
    match part {
        Value::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "schema" => visit(value),
                    "schemas" => members(value).for_each(&mut *visit),
                    key if DATA.contains(&key) => {}
                    _ => outermost_schemas(value, visit),
                }
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| outermost_schemas(item, visit)),
        _ => {}
    }
}

/// Visits every schema, whoever holds another before that other.
pub(super) fn schemas(part: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    fn each(schema: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
        if let Some(fields) = schema.as_object_mut() {
            visit(fields);
            inside(fields).for_each(|schema| each(schema, visit));
        }
    }
    outermost_schemas(part, &mut |schema| each(schema, visit));
}

/// The schemas right inside of one.
pub(super) fn inside(schema: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    schema.iter_mut().flat_map(|(key, value)| {
        let (one, many): (Option<&mut Value>, Option<&mut Value>) = match key.as_str() {
            "items" | "additionalProperties" | "not" | "propertyNames" => (Some(value), None),
            "properties" | "oneOf" | "anyOf" | "allOf" => (None, Some(value)),
            _ => (None, None),
        };
        one.into_iter().chain(many.into_iter().flat_map(members))
    })
}

/// The values of an object or an array.
pub(super) fn members(value: &mut Value) -> Box<dyn Iterator<Item = &mut Value> + '_> {
    match value {
        Value::Object(fields) => Box::new(fields.values_mut()),
        Value::Array(items) => Box::new(items.iter_mut()),
        _ => Box::new(std::iter::empty()),
    }
}
