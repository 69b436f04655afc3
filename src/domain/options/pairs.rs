//! Options that come in pairs: a flag that switches one on, and the configuration that says how.

use serde_json::{Map, Value};

use super::check::Checker;

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
    pair("custom_vocabulary", "custom_vocabulary_config", None),
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
];

/// Refuses a flag whose configuration is missing, where it needs one.
pub(super) fn check(body: &Map<String, Value>, checker: &mut Checker) {
    for pair in PAIRS {
        let Pair { flag, config, .. } = pair;
        if let Some(needs) = pair.needs
            && body.get(*flag) == Some(&Value::Bool(true))
            && !is_given(body, config)
        {
            checker.report_at(
                &[config],
                format!("`{flag}` needs `{config}` with `{needs}`: add it, or leave `{flag}` out."),
            );
        }
    }
}

/// Switches on what is configured but has no flag: that is what the caller meant, and Gladia would ignore it.
pub(super) fn switch_on(body: &mut Map<String, Value>) {
    for pair in PAIRS {
        if is_given(body, pair.config) && !is_given(body, pair.flag) {
            body.insert(pair.flag.to_owned(), Value::Bool(true));
        }
    }
}

fn is_given(body: &Map<String, Value>, name: &str) -> bool {
    body.get(name).is_some_and(|value| !value.is_null())
}

/// The pairs, for the test that none is missing.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAIRS.iter().map(|pair| (pair.flag, pair.config))
}
