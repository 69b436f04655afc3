//! Options that come in pairs: a flag that switches one on, and the configuration that says how.

use serde_json::{Map, Value};

use super::check::Checker;
use super::warning::WarningCode;

/// A flag and its configuration.
struct Pair {
    flag: &'static str,
    config: &'static str,
    /// What the configuration must say, where the flag means nothing without it.
    needs: Option<&'static str>,
}

const fn pair(flag: &'static str, config: &'static str, needs: Option<&'static str>) -> Pair {
    Pair {
        flag,
        config,
        needs,
    }
}

const PAIRS: &[Pair] = &[
    pair(
        "custom_vocabulary",
        "custom_vocabulary_config",
        Some("vocabulary"),
    ),
    pair(
        "custom_spelling",
        "custom_spelling_config",
        Some("spelling_dictionary"),
    ),
    pair("subtitles", "subtitles_config", None),
    pair("diarization", "diarization_config", None),
    pair(
        "translation",
        "translation_config",
        Some("target_languages"),
    ),
    pair("summarization", "summarization_config", None),
    pair("audio_to_llm", "audio_to_llm_config", Some("prompts")),
    pair("pii_redaction", "pii_redaction_config", None),
    pair(
        "structured_data_extraction",
        "structured_data_extraction_config",
        Some("classes"),
    ),
];

/// Refuses a flag whose configuration is missing, where it needs one, and tells where a configuration decides about its
/// flag, or comes to nothing.
pub(super) fn check(body: &Map<String, Value>, checker: &mut Checker) {
    for pair in PAIRS {
        let Pair { flag, config, .. } = pair;
        match (body.get(*flag), is_given(body, config)) {
            (Some(Value::Bool(true)), false) => {
                if let Some(needs) = pair.needs {
                    checker.report_at(
                        &[config],
                        format!(
                            "`{flag}` needs `{config}` with `{needs}`: add it, or leave `{flag}` out."
                        ),
                    );
                }
            }
            (None | Some(Value::Null), true) => checker.warn_at(
                &[config],
                WarningCode::SwitchedOn,
                format!(
                    "`{flag}` is switched on, because `{config}` is given and Gladia may ignore it otherwise: give \
                     `{flag}` as well, or leave `{config}` out."
                ),
            ),
            (Some(Value::Bool(false)), true) => checker.warn_at(
                &[config],
                WarningCode::NoEffect,
                format!(
                    "`{config}` has no effect, because `{flag}` is `false`: give `{flag}` as `true`, or leave \
                     `{config}` out."
                ),
            ),
            _ => {}
        }
    }
}

/// Switches on what is configured but has no flag: that is what the caller meant, and Gladia may ignore it.
pub(super) fn switch_on(body: &mut Map<String, Value>) {
    for pair in PAIRS {
        if is_given(body, pair.config) && !is_given(body, pair.flag) {
            body.insert(pair.flag.to_owned(), Value::Bool(true));
        }
    }
}

/// Whether the flag is given as `false`, so that its configuration does not matter.
pub(super) fn is_off(body: &Map<String, Value>, flag: &str) -> bool {
    body.get(flag) == Some(&Value::Bool(false))
}

/// Whether there is a value other than null.
pub(super) fn is_given(body: &Map<String, Value>, name: &str) -> bool {
    body.get(name).is_some_and(|value| !value.is_null())
}

/// The pairs, for the test that none is missing.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAIRS.iter().map(|pair| (pair.flag, pair.config))
}
