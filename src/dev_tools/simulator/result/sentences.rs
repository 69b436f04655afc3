//! The transcript cut at the ends of its sentences.

use serde::Serialize;

use super::{
    addons::Addon,
    json,
    transcript::{Transcript, Utterance, Word},
};

#[derive(Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of Gladia's API"
)]
struct Sentence<'a> {
    sentence: String,
    start: f64,
    end: f64,
    words: &'a [Word],
    confidence: f64,
    language: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<u32>,
    channel: usize,
}

/// The add-on's envelope.
pub(super) fn addon(transcript: &Transcript) -> Addon {
    let sentences = transcript.utterances.iter().flat_map(split);
    Addon::list(sentences.map(json).collect())
}

fn split(utterance: &Utterance) -> impl Iterator<Item = Sentence<'_>> {
    utterance
        .words
        .split_inclusive(|word| word.word.ends_with(['.', '?', '!']))
        .filter_map(|words| {
            let joined: String = words.iter().map(|word| word.word.as_str()).collect();
            Some(Sentence {
                sentence: joined.trim().to_owned(),
                start: words.first()?.start,
                end: words.last()?.end,
                words,
                confidence: utterance.confidence,
                language: &utterance.language,
                speaker: utterance.speaker,
                channel: utterance.channel,
            })
        })
}
