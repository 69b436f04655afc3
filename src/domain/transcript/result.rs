//! The result object itself.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    addons::{
        AudioToLlmAddon, ChapterizationAddon, DiarizationAddon, DiscontinuedAddon,
        NamedEntityRecognitionAddon, SentencesAddon, SentimentAnalysisAddon, SummarizationAddon,
        TranslationAddon,
    },
    speech::ResultTranscription,
};

/// Gladia's result. A block is there if it was asked for; of one that failed, `success` is false and the transcription is
/// done all the same. Fields that are not named here are Gladia's own, and kept as they came.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct TranscriptionResult {
    /// Durations and channels.
    pub metadata: ResultMetadata,
    /// What was said.
    pub transcription: Option<ResultTranscription>,
    /// `translation`: one result for each target language, each of which can fail alone.
    pub translation: Option<TranslationAddon>,
    /// `summarization`: the summary.
    pub summarization: Option<SummarizationAddon>,
    /// `named_entity_recognition`: names, places, dates and the like.
    pub named_entity_recognition: Option<NamedEntityRecognitionAddon>,
    /// `sentiment_analysis`.
    pub sentiment_analysis: Option<SentimentAnalysisAddon>,
    /// `audio_to_llm`: one envelope for each prompt, each of which can fail alone.
    pub audio_to_llm: Option<AudioToLlmAddon>,
    /// `sentences`. Gladia's reference has them in the transcription, its guides have them here: look in both places.
    pub sentences: Option<SentencesAddon>,
    /// `diarization`: a copy of the utterances, or why it failed. Who speaks stands in `speaker` of each utterance.
    pub diarization: Option<DiarizationAddon>,
    /// Discontinued by Gladia, and still returned at times.
    pub chapterization: Option<ChapterizationAddon>,
    /// Discontinued by Gladia, and still returned at times.
    pub display_mode: Option<DiscontinuedAddon>,
    /// Discontinued by Gladia, and still returned at times.
    pub moderation: Option<DiscontinuedAddon>,
    /// Discontinued by Gladia, and still returned at times.
    pub name_consistency: Option<DiscontinuedAddon>,
    /// Discontinued by Gladia, and still returned at times.
    pub structured_data_extraction: Option<DiscontinuedAddon>,
    /// What Gladia sends besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// What was transcribed, in numbers.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct ResultMetadata {
    /// Seconds of audio.
    pub audio_duration: f64,
    /// Channels that differ from each other: stereo with the same sound on both sides has one.
    pub number_of_distinct_channels: u32,
    /// Seconds that are billed: the duration times the distinct channels.
    pub billing_time: f64,
    /// Seconds that the transcription took.
    pub transcription_time: f64,
    /// What Gladia sends besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}
