//! What of a job's `custom_metadata` it can be found and counted by.

use serde_json::{Map, Value};

/// The longest key, in bytes.
pub const MOST_KEY_BYTES: usize = 256;

/// The longest value, in bytes.
pub const MOST_VALUE_BYTES: usize = 512;

/// The entries at the top whose value is a string, a number or a boolean, with the value as text: `7` and `"7"` are found
/// alike. Longer ones are left out, and so are those with a NUL, which no database text may hold.
pub fn searchable(metadata: &Map<String, Value>) -> impl Iterator<Item = (&str, String)> {
    metadata.iter().filter_map(|(key, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        let fits = key.len() <= MOST_KEY_BYTES && value.len() <= MOST_VALUE_BYTES;
        (fits && !key.contains('\0') && !value.contains('\0')).then_some((key.as_str(), value))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(metadata: Value) -> Vec<(String, String)> {
        let Value::Object(metadata) = metadata else {
            panic!("not an object")
        };
        searchable(&metadata)
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    #[test]
    fn simple_values_are_found_by_their_text() {
        let found = found(json!({ "a": "x", "b": 7, "c": true, "d": null, "e": [1], "f": {} }));
        let pairs = [("a", "x"), ("b", "7"), ("c", "true")];
        assert_eq!(found, pairs.map(|(key, value)| (key.into(), value.into())));
    }

    #[test]
    fn what_no_index_can_hold_is_left_out() {
        let long = "x".repeat(MOST_VALUE_BYTES + 1);
        let found = found(
            json!({ "nul": "\0", "\0": "key", "long": long, "y".repeat(257): "long key", "ok": "" }),
        );
        assert_eq!(found, [("ok".to_owned(), String::new())]);
    }
}
