//! `custom_metadata`: the caller's, with room for the gateway's own mark.

use serde_json::{Map, Value};

use super::check::Checker;

/// The gateway's key in `custom_metadata`: it names the attempt, so that a job can be found again at Gladia.
pub const RESERVED_METADATA_KEY: &str = "gladia_gateway_attempt";

/// Gladia's limit for the metadata written as JSON.
const MOST_CHARACTERS: usize = 2000;

/// Deeper metadata is refused: JSON readers, ours included, stop not far beyond.
pub const MOST_METADATA_LEVELS: usize = 64;

/// The identifier that stands under the gateway's key, for its length.
const SAMPLE_ID: &str = "00000000-0000-0000-0000-000000000000";

/// Refuses the gateway's own key, and metadata that Gladia would refuse once that key is added.
pub(super) fn check(body: &Map<String, Value>, checker: &mut Checker) {
    let Some(Value::Object(metadata)) = body.get("custom_metadata") else {
        return;
    };
    if metadata.contains_key(RESERVED_METADATA_KEY) {
        checker.report_at(
            &["custom_metadata", RESERVED_METADATA_KEY],
            format!("`{RESERVED_METADATA_KEY}` is the gateway's own key: use another."),
        );
    }
    if is_too_deep(metadata) {
        checker.report_at(
            &["custom_metadata"],
            format!("`custom_metadata` must nest no deeper than {MOST_METADATA_LEVELS} levels."),
        );
        return;
    }
    let surplus = length_with_mark(metadata).saturating_sub(MOST_CHARACTERS);
    if surplus > 0 {
        let own = length_with_mark(&Map::new()) - 1;
        checker.report_at(
            &["custom_metadata"],
            format!(
                "`custom_metadata` must have at most {MOST_CHARACTERS} characters once written as JSON, of which \
                 {own} are the gateway's own mark: shorten it by {surplus}."
            ),
        );
    }
}

/// What the gateway has to refuse in metadata that Gladia would take, in class-validator's words: only what leaves no room for
/// its own mark.
#[must_use]
pub fn metadata_errors(metadata: &Map<String, Value>) -> Vec<String> {
    let mut errors = Vec::new();
    if metadata.contains_key(RESERVED_METADATA_KEY) {
        errors.push(format!(
            "custom_metadata.{RESERVED_METADATA_KEY} should not exist"
        ));
    }
    if is_too_deep(metadata) {
        errors.push(format!(
            "custom_metadata must nest no deeper than {MOST_METADATA_LEVELS} levels"
        ));
    } else if length_with_mark(metadata) > MOST_CHARACTERS {
        let room = MOST_CHARACTERS + 1 - length_with_mark(&Map::new());
        errors.push(format!(
            "custom_metadata must be shorter than or equal to {room} characters once stringified"
        ));
    }
    errors
}

/// Whether the metadata nests too deeply. It is looked through without recursion, because it may nest without end.
fn is_too_deep(metadata: &Map<String, Value>) -> bool {
    let mut waiting: Vec<(&Value, usize)> = metadata.values().map(|value| (value, 2)).collect();
    while let Some((value, level)) = waiting.pop() {
        let deeper = level + 1;
        match value {
            Value::Array(_) | Value::Object(_) if level > MOST_METADATA_LEVELS => return true,
            Value::Array(items) => waiting.extend(items.iter().map(|item| (item, deeper))),
            Value::Object(fields) => waiting.extend(fields.values().map(|field| (field, deeper))),
            _ => {}
        }
    }
    false
}

/// The length of the metadata as JSON, the gateway's mark included: in UTF-16 units, as JavaScript counts.
fn length_with_mark(metadata: &Map<String, Value>) -> usize {
    let mut marked = metadata.clone();
    marked.insert(RESERVED_METADATA_KEY.to_owned(), Value::from(SAMPLE_ID));
    Value::Object(marked).to_string().encode_utf16().count()
}
