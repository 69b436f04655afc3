//! Which of Gladia's speech models transcribes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::check::Checker;
use super::languages::{
    self, CODE_SWITCHING_CONFIG, ENABLE_CODE_SWITCHING, LANGUAGE_CONFIG, Language,
};
use super::pairs::is_off;
use super::warning::WarningCode;

/// The speech model that transcribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TranscriptionModel)]
pub enum Model {
    /// Gladia's default: every language of the list, and code switching.
    #[serde(rename = "solaria-1")]
    Solaria1,
    /// Pre-recorded audio in English, French, German, Spanish or Italian, without code switching.
    #[serde(rename = "solaria-3")]
    Solaria3,
    /// The model that Gladia's own clients offer beside the two above.
    #[serde(rename = "solaria-fusion")]
    SolariaFusion,
}

/// What `solaria-3` transcribes.
const LANGUAGES_OF_SOLARIA_3: &[&str] = &["en", "fr", "de", "es", "it"];

/// Refuses what `solaria-3` cannot do, in whatever spelling, and warns of what Gladia's documentation leaves open about a model.
pub(super) fn check(body: &Map<String, Value>, checker: &mut Checker) {
    match body.get("model").and_then(Value::as_str) {
        Some("solaria-3") => check_solaria_3(body, checker),
        Some("solaria-fusion") => checker.warn_at(
            &["model"],
            WarningCode::NotDocumented,
            "Gladia's own clients offer `solaria-fusion`, and its API's description does not list it; Gladia may refuse \
             the job: use `solaria-1` to be sure.",
        ),
        _ => {}
    }
}

fn check_solaria_3(body: &Map<String, Value>, checker: &mut Checker) {
    for (may_switch, steps) in [
        (
            languages::may_switch(body),
            &[LANGUAGE_CONFIG, "code_switching"][..],
        ),
        (
            languages::may_switch_as_before(body),
            &[ENABLE_CODE_SWITCHING][..],
        ),
    ] {
        if let Some(name) = steps.last().filter(|_| may_switch) {
            checker.report_at(
                steps,
                format!(
                    "`solaria-3` does not switch between languages: leave `{name}` out, or use `solaria-1`."
                ),
            );
        }
    }
    check_named(body, LANGUAGE_CONFIG, checker);
    // It says nothing where it is switched off.
    if !is_off(body, ENABLE_CODE_SWITCHING) {
        check_named(body, CODE_SWITCHING_CONFIG, checker);
    }
    if let Some(language) = body.get("language") {
        check_language(language, &["language"], checker);
    }
    if languages::spoken(body, LANGUAGE_CONFIG)
        .is_some_and(|spoken| languages::distinct(&spoken) != 1)
    {
        checker.warn_at(
            &[LANGUAGE_CONFIG, "languages"],
            WarningCode::NotDocumented,
            "Gladia's documentation asks for exactly one language with `solaria-3` in one place, and allows several of \
             its five in another: name the one that is spoken, or use `solaria-1`.",
        );
    }
}

/// Refuses each language of a configuration that `solaria-3` does not have.
fn check_named(body: &Map<String, Value>, config: &str, checker: &mut Checker) {
    let spoken = languages::spoken(body, config).unwrap_or_default();
    for (index, language) in spoken.into_iter().enumerate() {
        check_language(
            language,
            &[config, "languages", &index.to_string()],
            checker,
        );
    }
}

fn check_language(language: &Value, steps: &[&str], checker: &mut Checker) {
    // What is no language at all is reported as such.
    if Language::deserialize(language).is_ok()
        && let Some(code) = language.as_str()
        && !LANGUAGES_OF_SOLARIA_3.contains(&code)
    {
        checker.report_value_at(
            steps,
            format!(
                "`solaria-3` transcribes `en`, `fr`, `de`, `es` and `it` only; found `{code}`: use `solaria-1` for it."
            ),
            LANGUAGES_OF_SOLARIA_3,
        );
    }
}
