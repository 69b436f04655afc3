//! The generated schemas of the options, as JSON: what the `OpenAPI` document shows is what requests are checked by.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};
use utoipa::{PartialSchema, ToSchema};

use super::{TranscriptionOptions, discontinued};

/// Every schema that the options use, by its name.
static NAMED: LazyLock<HashMap<String, Value>> = LazyLock::new(|| {
    let mut schemas = Vec::new();
    TranscriptionOptions::schemas(&mut schemas);
    schemas
        .into_iter()
        .map(|(name, schema)| (name, as_json(&schema)))
        .collect()
});

/// The schema of the options themselves.
static OPTIONS: LazyLock<Value> = LazyLock::new(|| as_json(&TranscriptionOptions::schema()));

/// The names of the options.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    properties(&OPTIONS)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default()
});

fn as_json(schema: &impl serde::Serialize) -> Value {
    match serde_json::to_value(schema) {
        Ok(value) => value,
        Err(error) => unreachable!("a schema is JSON: {error}"),
    }
}

/// The names of Gladia's options at the top of a request body.
#[must_use]
pub fn known_names() -> &'static [&'static str] {
    &NAMES
}

/// The schema of [`TranscriptionOptions`].
pub(super) fn options() -> &'static Value {
    &OPTIONS
}

/// The schema that `schema` stands for: itself, or the one that it refers to.
fn resolve(schema: &'static Value) -> &'static Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(location) => location
            .rsplit('/')
            .next()
            .and_then(|name| NAMED.get(name))
            .unwrap_or(&Value::Null),
        None => schema,
    }
}

/// The schemas of which a value must fit one: those of `oneOf`, or the schema alone.
pub(super) fn branches(declared: &'static Value) -> Vec<&'static Value> {
    let schema = resolve(declared);
    match schema.get("oneOf").and_then(Value::as_array) {
        Some(branches) => branches.iter().flat_map(self::branches).collect(),
        None => vec![schema],
    }
}

/// The fields that an object schema names, if it names any.
pub(super) fn properties(schema: &'static Value) -> Option<&'static Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

/// The option whose configuration has a field of this name, if there is just one. Nobody is sent to a discontinued one.
pub(super) fn home_of(field: &str) -> Option<&'static str> {
    let mut homes = properties(&OPTIONS)?.iter().filter(|(name, declared)| {
        !discontinued::is_discontinued(name)
            && branches(declared)
                .into_iter()
                .any(|schema| properties(schema).is_some_and(|fields| fields.contains_key(field)))
    });
    let (home, _) = homes.next()?;
    homes.next().is_none().then_some(home.as_str())
}

/// Every schema that a value may be checked by: for the tests, which make sure that all of it is understood.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static Value> {
    NAMED.values().chain([&*OPTIONS])
}

/// The schema of this name.
#[cfg(test)]
pub(super) fn named(name: &str) -> &'static Value {
    &NAMED[name]
}

/// The schema of the options with all that it refers to, as the `OpenAPI` document holds them.
#[cfg(test)]
pub(super) fn document() -> Value {
    let mut document = OPTIONS.clone();
    document["components"] = serde_json::json!({ "schemas": &*NAMED });
    document
}
