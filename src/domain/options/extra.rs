//! `extra_options`: options that go to Gladia unchecked, because they are newer or older than this build knows.

use serde_json::{Map, Value};

use super::found;
use super::violation::{Violation, pointer_to};
use super::warning::{Warning, WarningCode};
use super::{TranscriptionOptions, known_names};

/// More warnings than this help nobody.
const MOST_WARNINGS: usize = 50;

/// What the gateway itself decides: where the audio is, where the result goes, how the attempt is found again.
const OWN: &[&str] = &[
    "audio_url",
    "callback",
    "callback_config",
    "callback_url",
    "custom_metadata",
];

/// Finds the extra options whose names are the gateway's own. What else they say is not checked.
#[must_use]
pub fn check_extra(extra: &Map<String, Value>) -> Vec<Violation> {
    let own = OWN.iter().filter(|name| extra.contains_key(**name));
    own.map(|name| {
        let rule = format!(
            "`{name}` cannot be an extra option: give it at the top of the request, where it is checked."
        );
        Violation::new(pointer_to(&["extra_options", name]), rule)
    })
    .collect()
}

/// Warns of each extra option (the first fifty): nobody has checked it.
#[must_use]
pub fn warn_of_extra(options: &TranscriptionOptions, extra: &Map<String, Value>) -> Vec<Warning> {
    if extra.is_empty() {
        return Vec::new();
    }
    let checked = options.to_upstream();
    let warnings = extra.keys().take(MOST_WARNINGS).map(|name| {
        let shown = found::name(name);
        let message = if checked.contains_key(name) {
            format!(
                "`{shown}` replaces the whole option of the same name, which was checked, and is not checked itself: \
                 give it once, at the top of the request."
            )
        } else if known_names().contains(&name.as_str()) {
            format!(
                "`{shown}` is not checked as an extra option, and switches nothing on: give it at the top of the \
                 request, where it is checked."
            )
        } else {
            format!("`{shown}` is not checked: Gladia may ignore it, or refuse the job.")
        };
        Warning::at(&["extra_options", name], WarningCode::Unchecked, message)
    });
    warnings.collect()
}
