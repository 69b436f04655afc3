//! Options that Gladia took out of its pre-recorded API's description on 2026-03-24.
//!
//! Whether Gladia ignores them or refuses the job is contested, and its answers still show most of them. They go out as
//! they come, typed as they were described last, and each with a warning that says what does its work. What would come
//! to nothing even if Gladia honoured it is refused, as it is in today's spelling.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::{Deprecated, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::check::Checker;
use super::languages::Language;
use super::pairs::is_given;
use super::warning::WarningCode;

/// The languages of `enable_code_switching`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(deprecated)]
pub struct CodeSwitchingConfig {
    /// The languages that may be spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<Language>>,
}

/// What `structured_data_extraction` extracts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(deprecated)]
pub struct StructuredDataExtractionConfig {
    /// The classes of things to extract, such as `Persons`.
    pub classes: Vec<String>,
}

/// The schema of `language`. A field that refers to another schema cannot be marked as deprecated, so it repeats that one.
pub(super) fn language_schema() -> RefOr<Schema> {
    let mut schema = Language::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.description =
            Some("The language that is spoken. Discontinued: use `language_config`.".to_owned());
        object.deprecated = Some(Deprecated::True);
        object.schema_type = SchemaType::Array(vec![Type::String, Type::Null]);
        object.enum_values.get_or_insert_default().push(Value::Null);
    }
    schema
}

/// Each discontinued option, with what does its work.
const DISCONTINUED: &[(&str, &str)] = &[
    (
        "chapterization",
        "`audio_to_llm` with a prompt that asks for chapters",
    ),
    (
        "code_switching_config",
        "`language_config` with `languages` and `code_switching`",
    ),
    (
        "context_prompt",
        "`custom_vocabulary_config`, with the words that matter",
    ),
    (
        "detect_language",
        "`language_config` with no `languages`, which is also the default",
    ),
    (
        "display_mode",
        "`diarization`, which tells the speakers apart",
    ),
    (
        "enable_code_switching",
        "`code_switching` in `language_config`",
    ),
    ("language", "`languages` in `language_config`"),
    (
        "moderation",
        "`audio_to_llm` with a prompt that asks for what must be moderated",
    ),
    (
        "name_consistency",
        "`custom_spelling_config`, with the names",
    ),
    (
        "structured_data_extraction",
        "`audio_to_llm` with a prompt that asks for the data",
    ),
    (
        "structured_data_extraction_config",
        "`audio_to_llm_config` with a prompt that asks for the data",
    ),
];

/// Warns of each discontinued option.
pub(super) fn check(body: &Map<String, Value>, checker: &mut Checker) {
    for (name, replacement) in DISCONTINUED {
        if is_given(body, name) {
            checker.warn_at(
                &[name],
                WarningCode::Discontinued,
                format!(
                    "Gladia has discontinued `{name}`, and may ignore it or refuse the job: leave it out, or use \
                     {replacement}."
                ),
            );
        }
    }
}

/// Whether the option is one of these.
pub(super) fn is_discontinued(name: &str) -> bool {
    DISCONTINUED.iter().any(|(old, _)| *old == name)
}
