//! Gladia's result object as types, for the document of the REST API and the clients that are made from it.
//!
//! What is served is what Gladia sent, byte for byte; nothing is read into these types on the way. So they promise no more
//! than what Gladia keeps to: where its reference and what it sends differ, they follow what it sends, and every field that
//! is not known here is kept, served, and allowed by the schema. The [result](TranscriptionResult) holds the
//! [transcription](speech) and a block for each [add-on](addons) that was asked for.
//!
//! Source of the shapes, unless an item names another: the schema `TranscriptionResultDTO` of Gladia's OpenAPI document
//! (<https://api.gladia.io/openapi.json>).

mod addons;
mod result;
mod speech;
#[cfg(test)]
mod tests;

pub use self::{
    addons::{
        AudioToLlmAddon, AudioToLlmAnswer, AudioToLlmPromptAddon, Chapter, ChapterizationAddon,
        DiarizationAddon, DiscontinuedAddon, Entity, NamedEntityRecognitionAddon, ResultError,
        SentencesAddon, Sentiment, SentimentAnalysisAddon, SentimentResults, SummarizationAddon,
        TranslationAddon, TranslationResult,
    },
    result::{ResultMetadata, TranscriptionResult},
    speech::{ResultTranscription, Sentence, SentenceEntry, Subtitles, Utterance, Word},
};
