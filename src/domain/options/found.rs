//! How messages name what was found, without repeating long values.

use serde_json::Value;

/// Longer strings than this are described by their length: errors reach logs, and strings may be anything.
const LONGEST_ECHO: usize = 40;

/// What `value` is, in a few words.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => format!("`{flag}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => match text.chars().count() {
            0 => "an empty string".to_owned(),
            length if length <= LONGEST_ECHO => format!("the string {text:?}"),
            length => format!("a string of {length} characters"),
        },
        Value::Array(items) => match items.len() {
            0 => "an empty array".to_owned(),
            1 => "an array of 1 item".to_owned(),
            length => format!("an array of {length} items"),
        },
        Value::Object(_) => "an object".to_owned(),
    }
}

/// A name as messages show it: whole, or its beginning.
pub(super) fn name(name: &str) -> String {
    if name.chars().count() <= LONGEST_ECHO {
        return name.to_owned();
    }
    let beginning: String = name.chars().take(LONGEST_ECHO).collect();
    format!("{beginning}…")
}
