//! Words that the transcription should recognise: names, brands, jargon.

use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use super::languages::Language;

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
