//! What callers send, which is strict, and what they read, which is open.
//!
//! Requests with fields that are not known are refused, and their schemas say so. What is answered may have more fields one day,
//! so that what is both has a schema for each.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::walk::{self, members, reached, reference, referred};

/// How the name of a component begins that shows what was sent as another.
const SHOWN: &str = "Shown";

/// What the addresses begin with that the gateway calls, for which browsers' rules hold: in any case, and `//` may be missing.
const CALLED: &str = "^[Hh][Tt][Tt][Pp][Ss]?:";

/// What those begin with that Gladia fetches.
const FETCHED: &str = "^[Hh][Tt][Tt][Pp][Ss]?://";

/// The components that callers send.
pub(super) fn sent(document: &mut Value) -> BTreeSet<String> {
    let mut sent = BTreeSet::new();
    for operation in walk::operations(document) {
        if let Some(body) = operation.value.get_mut("requestBody") {
            reached(body, &mut sent);
        }
    }
    with_what_is_inside(document, sent)
}

/// The components that callers read: those of answers, of events and of callbacks, some of which are sent, too.
fn answered(document: &mut Value, sent: &BTreeSet<String>) -> BTreeSet<String> {
    let mut answered = BTreeSet::new();
    for operation in walk::operations(document) {
        reached(&mut operation.value["responses"], &mut answered);
    }
    if let Some(components) = document["components"]["schemas"].as_object_mut() {
        let others = components
            .iter_mut()
            .filter(|(name, _)| !sent.contains(*name));
        others.for_each(|(_, schema)| reached(schema, &mut answered));
    }
    with_what_is_inside(document, answered)
}

/// Components, and those that they are made of, however deep.
fn with_what_is_inside(document: &mut Value, mut names: BTreeSet<String>) -> BTreeSet<String> {
    let mut left: Vec<String> = names.iter().cloned().collect();
    while let Some(name) = left.pop() {
        let mut inner = BTreeSet::new();
        reached(&mut document["components"]["schemas"][&name], &mut inner);
        left.extend(inner.into_iter().filter(|name| names.insert(name.clone())));
    }
    names
}

/// An address is one of the web. It comes back as it was sent, and browsers' rules take more than the format allows.
pub(super) fn bound_addresses(document: &mut Value, sent: &BTreeSet<String>) {
    for (name, schema) in components(document) {
        let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (field, declared) in fields.into_iter().flatten() {
            if sent.contains(name)
                && declared["format"] == "uri"
                && let Some(declared) = declared.as_object_mut()
            {
                declared.remove("format");
                let pattern = if field == "audio_url" {
                    FETCHED
                } else {
                    CALLED
                };
                declared.insert("pattern".to_owned(), pattern.into());
            }
        }
    }
}

/// What is read strictly and is shown as well is shown as a component of its own.
pub(super) fn show_apart(document: &mut Value) {
    let sent = sent(document);
    let answered = answered(document, &sent);
    let mut apart = BTreeSet::new();
    loop {
        let before = apart.len();
        for (name, schema) in components(document) {
            let mut inner = BTreeSet::new();
            reached(schema, &mut inner);
            let is_shared = sent.contains(name) && answered.contains(name);
            let is_strict = schema.get("additionalProperties") == Some(&Value::Bool(false));
            if is_shared && (is_strict || !inner.is_disjoint(&apart)) {
                apart.insert(name.clone());
            }
        }
        if apart.len() == before {
            break;
        }
    }
    let mut shown = Map::new();
    for (name, schema) in components(document) {
        if apart.contains(name) {
            shown.insert(format!("{SHOWN}{name}"), schema.clone());
        } else if !sent.contains(name) {
            refer_to_shown(schema, &apart);
        }
    }
    for schema in shown.values_mut() {
        refer_to_shown(schema, &apart);
    }
    for operation in walk::operations(document) {
        refer_to_shown(&mut operation.value["responses"], &apart);
    }
    if let Some(components) = document["components"]["schemas"].as_object_mut() {
        components.append(&mut shown);
    }
}

fn refer_to_shown(part: &mut Value, apart: &BTreeSet<String>) {
    let shown = referred(part)
        .filter(|name| apart.contains(*name))
        .map(|name| reference(&format!("{SHOWN}{name}")));
    if let Some(shown) = shown {
        part["$ref"] = shown["$ref"].clone();
    }
    members(part).for_each(|part| refer_to_shown(part, apart));
}

/// What callers send has no other fields: they are refused. But what answers show is open.
pub(super) fn close(document: &mut Value) {
    let sent = sent(document);
    let answered = answered(document, &sent);
    for (name, schema) in components(document) {
        let Some(fields) = schema.as_object_mut() else {
            continue;
        };
        if answered.contains(name) {
            if fields.get("additionalProperties") == Some(&Value::Bool(false)) {
                fields.remove("additionalProperties");
            }
        } else if sent.contains(name) && fields.contains_key("properties") {
            fields.entry("additionalProperties").or_insert(false.into());
        }
    }
}

fn components(document: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    let components = document["components"]["schemas"].as_object_mut();
    components.into_iter().flatten()
}
