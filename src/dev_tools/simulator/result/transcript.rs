//! The transcript itself: utterances and words with their times.

use serde::Serialize;

use super::{Source, addons::Addon, as_f64, count, subtitles::Subtitles};
use crate::dev_tools::simulator::media::Segment;

const CONFIDENCE: f64 = 0.94;

/// A simulated voice says a word in this time.
const SECONDS_A_WORD: f64 = 0.35;

/// A word, with the space before it that belongs to it.
#[derive(Clone, Debug, Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of Gladia's API"
)]
pub(super) struct Word {
    pub(super) word: String,
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) confidence: f64,
}

/// What one person says in one go.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Utterance {
    pub(super) text: String,
    pub(super) language: String,
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) confidence: f64,
    pub(super) channel: usize,
    pub(super) words: Vec<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) speaker: Option<u32>,
}

/// Everything that is said.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of Gladia's API"
)]
pub(super) struct Transcript {
    pub(super) languages: Vec<String>,
    pub(super) utterances: Vec<Utterance>,
    pub(super) full_transcript: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sentences: Option<Vec<Addon>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subtitles: Option<Vec<Subtitles>>,
}

impl Transcript {
    /// A transcript of these utterances.
    pub(super) fn of(utterances: Vec<Utterance>) -> Self {
        let mut languages: Vec<String> = Vec::new();
        for utterance in &utterances {
            if !languages.contains(&utterance.language) {
                languages.push(utterance.language.clone());
            }
        }
        let mut transcript = Self {
            languages,
            utterances,
            ..Self::default()
        };
        transcript.refresh();
        transcript
    }

    /// Makes the texts agree with the words again.
    pub(super) fn refresh(&mut self) {
        let mut first = true;
        for utterance in &mut self.utterances {
            for word in &mut utterance.words {
                let bare = word.word.trim_start();
                // Only the first word of the file has no space before it.
                word.word = if first {
                    bare.to_owned()
                } else {
                    format!(" {bare}")
                };
                first = false;
            }
            let joined: String = utterance.words.iter().map(|w| w.word.as_str()).collect();
            joined.trim().clone_into(&mut utterance.text);
        }
        let texts: Vec<&str> = self.utterances.iter().map(|u| u.text.as_str()).collect();
        self.full_transcript = texts.join(" ");
    }
}

/// Writes what the script says, or words that say that they are simulated.
pub(super) fn write(source: &Source<'_>) -> Transcript {
    let spoken = source.entry.filter(|entry| !entry.utterances.is_empty());
    let utterances = if let Some(entry) = spoken {
        let total: usize = entry.utterances.iter().map(|line| line.text.len()).sum();
        let mut before = 0;
        let mut utterances = Vec::new();
        for line in &entry.utterances {
            let share = |chars: usize| source.media.duration * as_f64(chars) / as_f64(total.max(1));
            let start = line.start.unwrap_or_else(|| share(before));
            before += line.text.len();
            let end = line.end.unwrap_or_else(|| share(before));
            let language = line
                .language
                .clone()
                .or_else(|| entry.language.clone())
                .unwrap_or_else(|| language(source));
            utterances.push(utterance(
                source,
                &line.text,
                &language,
                &Segment {
                    start,
                    end,
                    channel: line.channel,
                },
                line.speaker,
            ));
        }
        utterances
    } else {
        let language = language(source);
        let segments = source.media.speech.iter().zip((0..=1).cycle());
        segments
            .map(|(segment, speaker)| {
                utterance(source, &simulated(*segment), &language, segment, speaker)
            })
            .collect()
    };
    Transcript::of(utterances)
}

/// The language that was asked for, if it is one.
fn language(source: &Source<'_>) -> String {
    source.options["language_config"]["languages"][0]
        .as_str()
        .unwrap_or("en")
        .to_owned()
}

/// As many words as fit into the time, beginning with what they are.
fn simulated(segment: Segment) -> String {
    let opening = format!(
        "Simulated words for the speech from {:.1} s to {:.1} s",
        segment.start, segment.end
    );
    let filler = ["and", "so", "it", "goes", "on"].into_iter().cycle();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an utterance is at most seconds long"
    )]
    let fits = ((segment.end - segment.start) / SECONDS_A_WORD).round() as usize;
    let words: Vec<&str> = opening.split(' ').chain(filler).take(fits.max(3)).collect();
    words.join(" ") + "."
}

fn utterance(
    source: &Source<'_>,
    text: &str,
    language: &str,
    segment: &Segment,
    speaker: u32,
) -> Utterance {
    Utterance {
        text: text.to_owned(),
        language: language.to_owned(),
        start: millis(segment.start),
        end: millis(segment.end),
        confidence: CONFIDENCE,
        channel: segment.channel,
        words: spread(text, segment.start, segment.end, CONFIDENCE),
        speaker: source
            .wants("diarization")
            .then(|| limited(source, speaker)),
    }
}

/// Never more speakers than were asked for.
fn limited(source: &Source<'_>, speaker: u32) -> u32 {
    let config = &source.options["diarization_config"];
    let limit = count(&config["number_of_speakers"])
        .or_else(|| count(&config["max_speakers"]))
        .and_then(|limit| u32::try_from(limit).ok())
        .filter(|limit| *limit > 0);
    limit.map_or(speaker, |limit| speaker % limit)
}

/// Shares the time among the words by their length, with a little silence after each.
pub(super) fn spread(text: &str, start: f64, end: f64, confidence: f64) -> Vec<Word> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let weights: Vec<f64> = words
        .iter()
        .map(|w| as_f64(w.chars().count()) + 1.5)
        .collect();
    let unit = (end - start) / weights.iter().sum::<f64>().max(1.0);
    let mut at = start;
    words
        .iter()
        .zip(weights)
        .map(|(word, weight)| {
            let word = Word {
                word: format!(" {word}"),
                start: millis(at),
                end: millis(at + unit * weight * 0.92),
                confidence,
            };
            at += unit * weight;
            word
        })
        .collect()
}

/// Rounded to milliseconds.
pub(super) fn millis(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
