//! The transcript in other languages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::languages::TargetLanguage;

/// How the transcript is translated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TranslationConfig {
    /// The languages to translate to, at least one.
    #[schema(min_items = 1)]
    pub target_languages: Vec<TargetLanguage>,
    /// The model that translates. Gladia's default is `base`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<TranslationModel>,
    /// Whether translated utterances are aligned with the original ones. Gladia's default is `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_original_utterances: Option<bool>,
    /// Whether translated words are aligned with the movement of the speaker's lips. Gladia's default is `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lipsync: Option<bool>,
    /// Whether the translation takes account of `context`. Gladia's default is `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_adaptation: Option<bool>,
    /// What the audio is about, in plain words, for a better translation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Whether informal forms are used where the target language has them. Gladia's default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub informal: Option<bool>,
}

/// A translation model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TranslationModel {
    /// Gladia's default.
    Base,
    /// The model that Gladia added for batches.
    Batch,
    /// Slower, of higher quality.
    Enhanced,
}
