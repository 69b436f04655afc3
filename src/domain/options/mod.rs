//! Gladia's options of one transcription: typed, validated, documented from one place.
//!
//! The structs are that place. Their serde names are Gladia's, so the upstream body is [`TranscriptionOptions`] as it
//! serialises, but for the callback, which is the gateway's own matter (`callback.rs`); their `ToSchema` is the part of the `OpenAPI` document that callers read; and [`parse`] checks requests
//! against that same schema (`check.rs`), so the document and the validation cannot part. Gladia's defaults stand in
//! the descriptions and not as `default`: generated clients would send them, and keep sending them after Gladia
//! changes its own.
//!
//! Validation finds everything that is wrong at once. A name that is not known is refused, because a misspelt option
//! that is dropped in silence costs a paid transcription; `extra_options` is the way past that for options that are
//! newer than this build. What is accepted all the same, and may not do what its caller expects, is answered with a
//! [`Warning`].
//!
//! [`parse`]: TranscriptionOptions::parse

mod alpha;
mod callback;
mod check;
mod discontinued;
mod extra;
mod found;
mod languages;
mod llm;
mod metadata;
mod model;
mod numbers;
mod pairs;
mod pii;
mod schema;
mod speakers;
mod spelling;
mod subtitles;
mod summary;
#[cfg(test)]
mod tests;
mod translation;
mod unknown;
mod violation;
mod vocabulary;
mod warning;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{plain_json, receiver_url::ReceiverUrl};

pub use callback::{CALLBACK_OPTIONS, CallbackConfig, callback_urls};
pub use check::MOST_VIOLATIONS;
pub use discontinued::{CodeSwitchingConfig, StructuredDataExtractionConfig};
pub use extra::{check_extra, warn_of_extra};
pub use languages::{Language, LanguageConfig, TargetLanguage};
pub use llm::AudioToLlmConfig;
pub use metadata::{MOST_METADATA_LEVELS, RESERVED_METADATA_KEY, metadata_errors};
pub use model::Model;
pub use numbers::as_whole;
pub use pii::{PiiEntityType, PiiRedactionConfig, ProcessedTextType};
pub use schema::known_names;
pub use speakers::DiarizationConfig;
pub use spelling::CustomSpellingConfig;
pub use subtitles::{SubtitlesConfig, SubtitlesFormat, SubtitlesStyle};
pub use summary::{SummarizationConfig, SummaryType};
pub use translation::{TranslationConfig, TranslationModel};
pub use violation::{Violation, pointer_to};
pub use vocabulary::{CustomVocabulary, CustomVocabularyConfig, VocabularyEntry, VocabularyWord};
pub use warning::{Warning, WarningCode};

/// What an operator decides about options on which opinions differ.
#[derive(Debug, Clone, Copy, Default)]
pub struct OptionsPolicy {
    /// Whether `code_switching` may be `true` without `languages`.
    pub accepts_code_switching_without_languages: bool,
}

/// Options that passed every check.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CheckedOptions {
    /// The options.
    pub options: TranscriptionOptions,
    /// What may not do what its caller expects.
    pub warnings: Vec<Warning>,
}

/// Gladia's options of one transcription. What is not given is left to Gladia's default; `null` is the same as not
/// given. A configuration switches on the option that it belongs to, unless that is given as `false`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TranscriptionOptions {
    /// The model that transcribes. Gladia's default is `solaria-1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// The languages that are spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language_config: Option<LanguageConfig>,
    /// Whether the words of `custom_vocabulary_config` are recognised, or the words themselves.
    /// Gladia's default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_vocabulary: Option<CustomVocabulary>,
    /// The words that the transcription should recognise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_vocabulary_config: Option<CustomVocabularyConfig>,
    /// Whether `custom_spelling_config`, which is then required, is applied. Gladia's default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_spelling: Option<bool>,
    /// Spellings to use in the transcript.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_spelling_config: Option<CustomSpellingConfig>,
    /// Whether the gateway calls the address in `callback_config` when the transcription ends, as Gladia would: the body is
    /// `TranscriptionCallback`. The default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<bool>,
    /// Where the caller is called, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_config: Option<CallbackConfig>,
    /// Whether subtitles are rendered. Gladia's default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtitles: Option<bool>,
    /// How subtitles are rendered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtitles_config: Option<SubtitlesConfig>,
    /// Whether utterances name their speaker. Gladia's default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diarization: Option<bool>,
    /// What is known of the speakers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diarization_config: Option<DiarizationConfig>,
    /// Whether the transcript is translated, as `translation_config`, which is then required, says.
    /// Gladia's default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translation: Option<bool>,
    /// How the transcript is translated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translation_config: Option<TranslationConfig>,
    /// Whether the transcript is summarised. Gladia's default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summarization: Option<bool>,
    /// How the transcript is summarised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summarization_config: Option<SummarizationConfig>,
    /// Whether names, places, dates and the like are listed. Gladia's default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named_entity_recognition: Option<bool>,
    /// Whether the sentiment and the emotion of what is said are given. Gladia's default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentiment_analysis: Option<bool>,
    /// Whether a language model answers the prompts of `audio_to_llm_config`, which is then required.
    /// Gladia's default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_to_llm: Option<bool>,
    /// What a language model is asked about the transcript.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_to_llm_config: Option<AudioToLlmConfig>,
    /// Whether personal information is taken out of the transcript. Gladia's default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pii_redaction: Option<bool>,
    /// What is redacted, and what stands in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pii_redaction_config: Option<PiiRedactionConfig>,
    /// Whether the transcript is also given sentence by sentence. Gladia's default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentences: Option<bool>,
    /// Whether Gladia's enhanced punctuation, which it marks as alpha, is used. Gladia's default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub punctuation_enhanced: Option<bool>,
    /// Anything of the caller's own that should come back with the transcription: at most 2000 characters once written
    /// as JSON, of which 64 are the gateway's own mark. The key `gladia_gateway_attempt` is reserved.
    #[serde(
        default,
        deserialize_with = "plain_json::object_if_any",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    pub custom_metadata: Option<Map<String, Value>>,
    /// Where the caller is called, by `POST`. Deprecated: use `callback_config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uri, deprecated)]
    pub callback_url: Option<ReceiverUrl>,
    /// Whether the transcript is divided into chapters. Discontinued: use `audio_to_llm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(deprecated)]
    pub chapterization: Option<bool>,
    /// The languages of `enable_code_switching`. Discontinued: use `language_config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_switching_config: Option<CodeSwitchingConfig>,
    /// What the audio is about. Discontinued: use `custom_vocabulary_config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(deprecated)]
    pub context_prompt: Option<String>,
    /// Whether the language is detected. Discontinued: use `language_config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(deprecated)]
    pub detect_language: Option<bool>,
    /// Whether the transcript is laid out for display. Discontinued: use `diarization`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(deprecated)]
    pub display_mode: Option<bool>,
    /// Whether the language may change. Discontinued: use `language_config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(deprecated)]
    pub enable_code_switching: Option<bool>,
    /// The language that is spoken. Discontinued: use `language_config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = discontinued::language_schema)]
    pub language: Option<Language>,
    /// Whether what must be moderated is found. Discontinued: use `audio_to_llm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(deprecated)]
    pub moderation: Option<bool>,
    /// Whether names are spelt the same throughout. Discontinued: use `custom_spelling_config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(deprecated)]
    pub name_consistency: Option<bool>,
    /// Whether the data of `structured_data_extraction_config`, which is then required, are extracted. Discontinued: use
    /// `audio_to_llm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(deprecated)]
    pub structured_data_extraction: Option<bool>,
    /// What is extracted. Discontinued: use `audio_to_llm_config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_data_extraction_config: Option<StructuredDataExtractionConfig>,
}

impl TranscriptionOptions {
    /// Takes the options out of a request body from which the caller has removed the gateway's own fields.
    /// `also_known` names those fields, so that a misspelt one is recognised too.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the options (the first fifty).
    pub fn parse(
        mut body: Map<String, Value>,
        also_known: &[&str],
        policy: OptionsPolicy,
    ) -> Result<CheckedOptions, Vec<Violation>> {
        let mut checker = check::Checker::new(also_known);
        checker.options(&body);
        model::check(&body, &mut checker);
        languages::check(&body, policy, &mut checker);
        pairs::check(&body, &mut checker);
        callback::check(&body, &mut checker);
        vocabulary::check(&body, &mut checker);
        subtitles::check(&body, &mut checker);
        speakers::check(&body, &mut checker);
        alpha::check(&body, &mut checker);
        discontinued::check(&body, &mut checker);
        metadata::check(&body, &mut checker);
        let warnings = checker.finish()?;
        pairs::switch_on(&mut body);
        callback::switch_on(&mut body);
        // The schema is as strict as the types; should they ever part, the caller still gets an answer.
        let options = serde_json::from_value::<Self>(Value::Object(body)).map_err(|error| {
            let rule = format!("The options cannot be read: {error}.");
            vec![Violation::new("", rule)]
        })?;
        Ok(CheckedOptions { options, warnings })
    }

    /// Divides a body that nobody checks: what these types hold just as it came, and the rest.
    #[must_use]
    pub fn sort(body: Map<String, Value>) -> (Self, Map<String, Value>) {
        let (mut held, mut rest) = (Map::new(), Map::new());
        for (name, value) in body {
            let alone = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
            let options = serde_json::from_value::<Self>(alone).ok();
            let is_held =
                options.is_some_and(|options| options.to_upstream().get(&name) == Some(&value));
            let side = if is_held { &mut held } else { &mut rest };
            side.insert(name, value);
        }
        if let Ok(options) = serde_json::from_value::<Self>(Value::Object(held.clone())) {
            return (options, rest);
        }
        // Each was held alone, so together they are; should that ever end, nothing is lost.
        rest.extend(held);
        (Self::default(), rest)
    }

    /// The same options as JSON: only what was set. But for the callback, that is the upstream body.
    #[must_use]
    pub fn to_upstream(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(body)) => body,
            other => unreachable!("options serialise to an object, not to {other:?}"),
        }
    }
}
