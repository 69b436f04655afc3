//! `extra_options`: options that go to Gladia unchecked, because they are newer or older than this build knows.

use serde_json::{Map, Value};

use super::violation::{Violation, push_step};

/// What the gateway itself decides: where the audio is, where the result goes, how the attempt is found again.
const OWN: &[&str] = &[
    "audio_url",
    "callback",
    "callback_config",
    "callback_url",
    "custom_metadata",
];

/// Puts `extra` over the upstream body, unchecked: an extra option replaces the whole option of the same name.
///
/// # Errors
///
/// A violation for each name that is the gateway's own; the body is then left as it was.
pub fn merge_extra(
    body: &mut Map<String, Value>,
    extra: &Map<String, Value>,
) -> Result<(), Vec<Violation>> {
    let violations: Vec<Violation> = OWN
        .iter()
        .filter(|name| extra.contains_key(**name))
        .map(|name| {
            let mut pointer = String::new();
            push_step(&mut pointer, "extra_options");
            push_step(&mut pointer, name);
            let rule = match *name {
                "audio_url" | "custom_metadata" => format!(
                    "`{name}` cannot be an extra option: give it at the top of the request, where it is checked."
                ),
                _ => format!(
                    "`{name}` cannot be an extra option: the gateway sets its own callback, to receive the result."
                ),
            };
            Violation { pointer, rule }
        })
        .collect();
    if !violations.is_empty() {
        return Err(violations);
    }
    body.extend(
        extra
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    Ok(())
}
