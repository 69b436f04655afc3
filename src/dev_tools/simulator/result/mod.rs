//! The result of a job: the transcript and every add-on that was asked for, in the documented shapes.

mod addons;
mod phrases;
mod sentences;
mod subtitles;
mod transcript;
mod translation;

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, value::RawValue};

use self::{addons::Addon, transcript::Transcript};
use super::{
    media::Media,
    script::{Entry, Line},
};

/// What a result is made from.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) media: &'a Media,
    pub(super) entry: Option<&'a Entry>,
    /// The options with their defaults.
    pub(super) options: &'a Value,
    /// Seconds since processing began.
    pub(super) transcription_time: f64,
}

impl Source<'_> {
    fn wants(&self, flag: &str) -> bool {
        self.options[flag].as_bool().unwrap_or(false)
    }

    /// The script's line for an utterance, by its position.
    fn line(&self, index: usize) -> Option<&Line> {
        self.entry?.utterances.get(index)
    }
}

#[derive(Serialize)]
struct Metadata {
    audio_duration: f64,
    number_of_distinct_channels: usize,
    billing_time: f64,
    transcription_time: f64,
}

/// Keys in the order in which Gladia sends them.
#[derive(Serialize)]
struct Output {
    metadata: Metadata,
    transcription: Transcript,
    #[serde(skip_serializing_if = "Option::is_none")]
    sentences: Option<Addon>,
    #[serde(skip_serializing_if = "Option::is_none")]
    translation: Option<Addon>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summarization: Option<Addon>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sentiment_analysis: Option<Addon>,
    #[serde(skip_serializing_if = "Option::is_none")]
    named_entity_recognition: Option<Addon>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_to_llm: Option<Addon>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diarization: Option<Addon>,
}

/// Writes the result.
pub(super) fn write(source: &Source<'_>) -> serde_json::Result<Arc<RawValue>> {
    let media = source.media;
    let mut transcript = transcript::write(source);
    // Entities are found in what was said, before any of it is redacted.
    let entities = addons::entities(source, &transcript);
    phrases::respell(source, &mut transcript);
    phrases::redact(source, &mut transcript);
    let wanted = |flag: &str, make: &dyn Fn() -> Addon| {
        source
            .wants(flag)
            .then(|| Addon::failing(source, flag).unwrap_or_else(make))
    };
    let sentences = wanted("sentences", &|| sentences::addon(&transcript));
    let output = Output {
        metadata: Metadata {
            audio_duration: media.duration,
            number_of_distinct_channels: media.distinct_channels,
            billing_time: media.duration * as_f64(media.distinct_channels),
            transcription_time: transcript::millis(source.transcription_time),
        },
        translation: wanted("translation", &|| translation::addon(source, &transcript)),
        summarization: wanted("summarization", &|| addons::summary(source, &transcript)),
        sentiment_analysis: wanted("sentiment_analysis", &|| {
            addons::sentiments(source, &transcript)
        }),
        named_entity_recognition: wanted("named_entity_recognition", &|| {
            Addon::list(entities.clone())
        }),
        audio_to_llm: wanted("audio_to_llm", &|| addons::answers(source)),
        diarization: wanted("diarization", &|| {
            Addon::list(transcript.utterances.iter().map(json).collect())
        }),
        transcription: {
            let mut whole = transcript.clone();
            whole.sentences = sentences.clone().map(|addon| vec![addon]);
            whole.subtitles = source
                .wants("subtitles")
                .then(|| subtitles::write(source, &whole.utterances));
            whole
        },
        sentences,
    };
    let text = serde_json::to_string(&output)?;
    Ok(RawValue::from_string(text)?.into())
}

/// A plain structure as a JSON value. Structures of strings and numbers cannot fail.
fn json<T: Serialize>(value: T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of channels, words and characters stay far below 2^52"
)]
fn as_f64(count: usize) -> f64 {
    count as f64
}

/// A count that was asked for. It has passed Gladia's rules, which cannot tell 2.0 from 2.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a conversion to an integer stays within its bounds"
)]
fn count(value: &Value) -> Option<usize> {
    value.as_f64().map(|number| number as usize)
}
