//! The add-ons' blocks: one envelope, and what is in it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::speech::{SentenceEntry, Subtitles, Utterance};

/// The envelope of an add-on: one type for each kind of result, so that each has a name of its own in a client.
macro_rules! addons {
    ($($(#[$doc:meta])* $name:ident($results:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
        pub struct $name {
            /// Whether it worked. Where not, `error` says why, and the transcription is done all the same.
            pub success: bool,
            /// Whether it worked and found nothing.
            pub is_empty: bool,
            /// What it found.
            pub results: Option<$results>,
            /// Seconds that it took.
            pub exec_time: Option<f64>,
            /// Why it failed.
            pub error: Option<ResultError>,
            /// What Gladia sends besides.
            #[serde(flatten)]
            pub other: BTreeMap<String, Value>,
        }
    )*};
}

addons! {
    /// Translations: one for each target language, each of which can fail alone.
    TranslationAddon(Vec<TranslationResult>);
    /// The summary.
    SummarizationAddon(String);
    /// Names, places, dates and the like.
    NamedEntityRecognitionAddon(Vec<Entity>);
    /// Sentiments and emotions.
    SentimentAnalysisAddon(SentimentResults);
    /// Answers of a language model: one for each prompt, each of which can fail alone.
    AudioToLlmAddon(Vec<AudioToLlmPromptAddon>);
    /// The answer to a prompt.
    AudioToLlmPromptAddon(AudioToLlmAnswer);
    /// Sentences.
    SentencesAddon(Vec<SentenceEntry>);
    /// A copy of the utterances.
    DiarizationAddon(Vec<Utterance>);
    /// Chapters, of an add-on that Gladia has discontinued.
    ChapterizationAddon(Vec<Chapter>);
    /// An add-on that Gladia has discontinued, with results of any kind.
    DiscontinuedAddon(Value);
}

/// Why an add-on failed.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct ResultError {
    /// Gladia's code for it.
    pub status_code: Option<i64>,
    /// Gladia's name for it.
    pub exception: Option<String>,
    /// Gladia's message.
    pub message: Option<String>,
    /// What Gladia sends besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// The translation into one language.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct TranslationResult {
    /// The language, as the one element.
    pub languages: Vec<String>,
    /// All of the text.
    pub full_transcript: String,
    /// The utterances with the times of the original ones.
    pub utterances: Vec<Utterance>,
    /// Why this one failed.
    pub error: Option<ResultError>,
    /// `sentences` of the translation.
    pub sentences: Option<Vec<SentencesAddon>>,
    /// `subtitles` of the translation.
    pub subtitles: Option<Vec<Subtitles>>,
    /// What Gladia sends besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A name, place, date or the like. Results from before April 2026 have its type as `entity`.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct Entity {
    /// What it is: `NAME_GIVEN`, `LOCATION_CITY`, …
    pub entity_type: Option<String>,
    /// The words.
    pub text: String,
    /// When it begins, in seconds.
    pub start: f64,
    /// When it ends, in seconds.
    pub end: f64,
    /// What Gladia sends besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// Sentiments: a list, or the text that Gladia's reference has in its place.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum SentimentResults {
    /// One for each part of the text.
    List(Vec<Sentiment>),
    /// A text.
    Text(String),
}

/// The sentiment of a part of the text. Source: <https://docs.gladia.io>, the guide to sentiment analysis.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct Sentiment {
    /// The part.
    pub text: String,
    /// `positive`, `negative`, `neutral`, `mixed` or `unknown`.
    pub sentiment: String,
    /// One of some two dozen emotions.
    pub emotion: Option<String>,
    /// When it begins, in seconds.
    pub start: Option<f64>,
    /// When it ends, in seconds.
    pub end: Option<f64>,
    /// The channel, from 0.
    pub channel: Option<u32>,
    /// Who speaks, from 0.
    pub speaker: Option<u32>,
    /// What Gladia sends besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A language model's answer to a prompt.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct AudioToLlmAnswer {
    /// The prompt.
    pub prompt: Option<String>,
    /// The answer.
    pub response: Option<String>,
    /// What Gladia sends besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A chapter, of an add-on that is discontinued.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct Chapter {
    /// A headline.
    pub headline: Option<String>,
    /// The gist of it.
    pub gist: Option<String>,
    /// A summary.
    pub summary: Option<String>,
    /// Keywords.
    pub keywords: Option<Vec<String>>,
    /// When it begins, in seconds.
    pub start: Option<f64>,
    /// When it ends, in seconds.
    pub end: Option<f64>,
    /// What Gladia sends besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}
