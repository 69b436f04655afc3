//! Which of Gladia's speech models transcribes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::check::Checker;
use super::languages::{self, Language};
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

/// Refuses what `solaria-3` cannot do, and warns of what Gladia's documentation leaves open about a model.
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
    if languages::may_switch(body) {
        checker.report_at(
            &["language_config", "code_switching"],
            "`solaria-3` does not switch between languages: leave `code_switching` out, or use `solaria-1`."
                .to_owned(),
        );
    }
    let Some(spoken) = languages::spoken(body) else {
        return;
    };
    for (index, language) in spoken.iter().enumerate() {
        // What is no language at all is reported as such.
        if Language::deserialize(*language).is_ok()
            && let Some(code) = language.as_str()
            && !LANGUAGES_OF_SOLARIA_3.contains(&code)
        {
            checker.report_value_at(
                &["language_config", "languages", &index.to_string()],
                format!(
                    "`solaria-3` transcribes `en`, `fr`, `de`, `es` and `it` only; found `{code}`: use `solaria-1` \
                     for it."
                ),
                LANGUAGES_OF_SOLARIA_3,
            );
        }
    }
    if languages::distinct(&spoken) != 1 {
        checker.warn_at(
            &["language_config", "languages"],
            WarningCode::NotDocumented,
            "Gladia's documentation asks for exactly one language with `solaria-3` in one place, and allows several of \
             its five in another: name the one that is spoken, or use `solaria-1`.",
        );
    }
}
