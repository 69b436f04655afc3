//! What was said: utterances, their words, sentences, and Gladia's own subtitles.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::addons::SentencesAddon;

/// The transcription.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct ResultTranscription {
    /// The languages that were heard, the most frequent first.
    pub languages: Vec<String>,
    /// All of the text: the utterances' texts, joined by a space.
    pub full_transcript: String,
    /// What was said in one go, by one speaker.
    pub utterances: Vec<Utterance>,
    /// `sentences`; see also `sentences` of the result itself.
    pub sentences: Option<Vec<SentencesAddon>>,
    /// `subtitles`: one file for each format that was asked for.
    pub subtitles: Option<Vec<Subtitles>>,
    /// What Gladia sends besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// What one speaker says in one go.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct Utterance {
    /// The text, without spaces around it.
    pub text: String,
    /// The language.
    pub language: String,
    /// When it begins, in seconds.
    pub start: f64,
    /// When it ends, in seconds.
    pub end: f64,
    /// How sure Gladia is, from 0 to 1.
    pub confidence: f64,
    /// The channel, from 0.
    pub channel: u32,
    /// Who speaks, from 0. There with `diarization` alone.
    pub speaker: Option<u32>,
    /// The words. Translations may come without.
    #[serde(default)]
    pub words: Option<Vec<Word>>,
    /// What Gladia sends besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A word.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct Word {
    /// The word, with the space before it: the words of an utterance put together are its text.
    pub word: String,
    /// When it begins, in seconds.
    pub start: f64,
    /// When it ends, in seconds.
    pub end: f64,
    /// How sure Gladia is, from 0 to 1.
    pub confidence: f64,
    /// What Gladia sends besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A sentence, in either of the forms that Gladia documents: an object in its guides, a text in its reference.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum SentenceEntry {
    /// With its times and words.
    Sentence(Sentence),
    /// The text alone.
    Text(String),
}

/// A sentence with its times and words. Source: <https://docs.gladia.io>, the guide to sentences.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct Sentence {
    /// The text.
    pub sentence: String,
    /// When it begins, in seconds.
    pub start: Option<f64>,
    /// When it ends, in seconds.
    pub end: Option<f64>,
    /// The language.
    pub language: Option<String>,
    /// How sure Gladia is, from 0 to 1.
    pub confidence: Option<f64>,
    /// The channel, from 0.
    pub channel: Option<u32>,
    /// Who speaks, from 0.
    pub speaker: Option<u32>,
    /// The words.
    pub words: Option<Vec<Word>>,
    /// What Gladia sends besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A file of subtitles as Gladia renders it. Exports are rendered anew from the words, whether or not it is there.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct Subtitles {
    /// `srt` or `vtt`.
    pub format: String,
    /// The file's content.
    pub subtitles: String,
    /// What Gladia sends besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}
