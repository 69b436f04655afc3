//! Words that the transcription should recognise: names, brands, jargon.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use utoipa::ToSchema;

use super::check::Checker;
use super::languages::Language;
use super::pairs::{is_given, is_off};
use super::warning::WarningCode;

/// Above this, words tend to replace others that were said.
const HIGHEST_ADVISABLE_INTENSITY: f64 = 0.6;

/// `true` to use `custom_vocabulary_config`; an array of words is the older way to give the words themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum CustomVocabulary {
    /// Whether `custom_vocabulary_config` is used.
    Enabled(bool),
    /// The words themselves, each with Gladia's default intensity.
    Words(Vec<String>),
}

/// The words that the transcription should recognise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomVocabularyConfig {
    /// The words: each a string, or an object where a word needs its own intensity, pronunciations or language.
    pub vocabulary: Vec<VocabularyEntry>,
    /// How readily what was heard is replaced by a word that has no intensity of its own: from 0 (hardly ever) to 1
    /// (at the slightest likeness). Gladia's default is 0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 1)]
    pub default_intensity: Option<Number>,
}

/// A word to recognise: the word alone, or the word with its details.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum VocabularyEntry {
    /// The word alone.
    Word(String),
    /// The word with its details.
    Detailed(VocabularyWord),
}

/// A word to recognise, with its details.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VocabularyWord {
    /// The word as the transcript should show it.
    pub value: String,
    /// How readily what was heard is replaced by this word, from 0 to 1. Default: `default_intensity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 1)]
    pub intensity: Option<Number>,
    /// Other ways in which the word may be heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pronunciations: Option<Vec<String>>,
    /// The language in which the word is pronounced. Default: the language of the transcription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
}

/// Warns of the older form, and of intensities that put words into the transcript that were never said.
pub(super) fn check(body: &Map<String, Value>, checker: &mut Checker) {
    if body.get("custom_vocabulary").is_some_and(Value::is_array) {
        check_older_form(body, checker);
    }
    let config = body.get("custom_vocabulary_config");
    let Some(config) = config.filter(|_| !is_off(body, "custom_vocabulary")) else {
        return;
    };
    if is_high(config.get("default_intensity")) {
        checker.warn_at(
            &["custom_vocabulary_config", "default_intensity"],
            WarningCode::LikelyHarmful,
            too_eager(""),
        );
    }
    let words = config.get("vocabulary").and_then(Value::as_array);
    let mut high = words
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, word)| is_high(word.get("intensity")));
    // One warning for all of them: there may be thousands.
    if let Some((first, _)) = high.next() {
        let more = match high.count() {
            0 => String::new(),
            1 => ", here and for 1 more word".to_owned(),
            more => format!(", here and for {more} more words"),
        };
        checker.warn_at(
            &[
                "custom_vocabulary_config",
                "vocabulary",
                &first.to_string(),
                "intensity",
            ],
            WarningCode::LikelyHarmful,
            too_eager(&more),
        );
    }
}

fn too_eager(where_else: &str) -> String {
    let most = HIGHEST_ADVISABLE_INTENSITY;
    format!(
        "At an intensity above {most}, a word often stands in the transcript where another was said: give at most \
         {most}{where_else}."
    )
}

fn check_older_form(body: &Map<String, Value>, checker: &mut Checker) {
    let (code, message) = if is_given(body, "custom_vocabulary_config") {
        (
            WarningCode::Contradictory,
            "Words are given here and in `custom_vocabulary_config`, and Gladia does not say which of them count: give \
             all of them in `custom_vocabulary_config`, and `true` here.",
        )
    } else {
        (
            WarningCode::NotDocumented,
            "An array is the older form, which Gladia's documentation still mentions and no longer describes: give the \
             words as `vocabulary` in `custom_vocabulary_config`, and `true` here.",
        )
    };
    checker.warn_at(&["custom_vocabulary"], code, message);
}

fn is_high(intensity: Option<&Value>) -> bool {
    let intensity = intensity.and_then(Value::as_f64);
    intensity.is_some_and(|intensity| intensity > HIGHEST_ADVISABLE_INTENSITY)
}
