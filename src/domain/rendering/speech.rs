//! What is rendered: utterances with their words, in the original or in a translation.
//!
//! Whatever a result holds, these hold: texts have no control characters and no space around them; times are in order
//! within an utterance, at least zero, and at most [`LATEST_MS`]; nothing ends before it begins.

use super::{
    CannotRender,
    loose::{Loose, Members},
};

/// No time is later: 9,999 hours and some, which every format can write.
pub(super) const LATEST_MS: u64 = 9_999 * 3_600_000 + 3_599_999;

/// A transcript as it is rendered.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Speech {
    /// The languages that it is in.
    pub(super) languages: Vec<String>,
    /// The languages that it is translated from.
    pub(super) translated_from: Option<Vec<String>>,
    /// How long the audio is.
    pub(super) duration_ms: Option<u64>,
    /// In Gladia's order.
    pub(super) utterances: Vec<Utterance>,
}

/// What one speaker says in one go.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Utterance {
    /// Its position in the result.
    pub(super) index: usize,
    /// Its text.
    pub(super) text: String,
    /// Its words, if there are any.
    pub(super) words: Vec<Word>,
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    pub(super) speaker: Option<u32>,
    pub(super) channel: Option<u32>,
    pub(super) language: Option<String>,
}

/// A word.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Word {
    /// Its position in the utterance.
    pub(super) index: usize,
    /// With the space before it, if it has one.
    pub(super) text: String,
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    pub(super) confidence: Option<f64>,
}

impl Speech {
    /// Reads a result: the original, or its translation into a language.
    pub(super) fn read(result: &[u8], language: Option<&str>) -> Result<Self, CannotRender> {
        let result = Loose::parse(result)
            .ok_or(CannotRender::NoTranscript)?
            .members();
        let original = result.get("transcription").filter(|t| t.is_object());
        let original = original.ok_or(CannotRender::NoTranscript)?.members();
        let metadata = result
            .get("metadata")
            .map(Loose::members)
            .unwrap_or_default();
        let duration_ms = metadata.number("audio_duration").map(millis);
        let languages = languages(&original);
        let asked = language.filter(|asked| languages.as_slice() != [asked.to_ascii_lowercase()]);
        let mut speech = if let Some(language) = asked {
            let translation = find_translation(&result, language)?;
            Self {
                languages: vec![language.to_ascii_lowercase()],
                translated_from: Some(languages),
                utterances: utterances(&translation, duration_ms),
                ..Self::default()
            }
        } else {
            Self {
                languages,
                utterances: utterances(&original, duration_ms),
                ..Self::default()
            }
        };
        speech.duration_ms = duration_ms;
        Ok(speech)
    }

    /// The utterances in the order in which they begin.
    pub(super) fn in_time_order(&self) -> Vec<&Utterance> {
        let mut utterances: Vec<&Utterance> = self.utterances.iter().collect();
        utterances.sort_by_key(|utterance| utterance.start_ms);
        utterances
    }
}

fn languages(transcript: &Members<'_>) -> Vec<String> {
    let languages = transcript.items("languages").into_iter();
    languages.filter_map(Loose::text).collect()
}

/// The translation into a language.
fn find_translation<'a>(result: &Members<'a>, language: &str) -> Result<Members<'a>, CannotRender> {
    let message = |of: &Members<'_>| {
        let error = of.get("error").map(Loose::members)?;
        let said = error.text("message").or_else(|| error.text("exception"));
        Some(said.unwrap_or_else(|| "Gladia gave no reason.".to_owned()))
    };
    let addon = result
        .get("translation")
        .map(Loose::members)
        .unwrap_or_default();
    let translations: Vec<_> = addon
        .items("results")
        .into_iter()
        .map(Loose::members)
        .collect();
    let mut known = Vec::new();
    for translation in translations {
        let into = languages(&translation);
        if !into.iter().any(|into| into.eq_ignore_ascii_case(language)) {
            known.extend(into);
            continue;
        }
        // One that failed comes without anything to show, or with less than all.
        return match message(&translation) {
            Some(message) => Err(CannotRender::TranslationFailed(message)),
            None => Ok(translation),
        };
    }
    match message(&addon) {
        Some(message) if known.is_empty() => Err(CannotRender::TranslationFailed(message)),
        _ => Err(CannotRender::NoTranslation(known)),
    }
}

/// Everything that is said in a transcript or a translation.
fn utterances(transcript: &Members<'_>, duration_ms: Option<u64>) -> Vec<Utterance> {
    let mut before_ms = 0;
    let mut found = Vec::new();
    let listed = transcript.items("utterances");
    for (index, item) in listed.into_iter().enumerate() {
        let utterance = utterance(index, &item.members(), before_ms);
        before_ms = utterance.end_ms;
        if !utterance.text.is_empty() {
            found.push(utterance);
        }
    }
    if found.is_empty() {
        // The text alone, spread over the whole recording.
        let text = clean(&transcript.text("full_transcript").unwrap_or_default());
        found.extend((!text.trim().is_empty()).then(|| Utterance {
            text: text.trim().to_owned(),
            end_ms: duration_ms.unwrap_or_default(),
            ..Utterance::default()
        }));
    }
    found
}

fn utterance(index: usize, members: &Members<'_>, before_ms: u64) -> Utterance {
    let start_ms = members.number("start").map(millis);
    let end_ms = members.number("end").map(millis);
    // Its own span bounds the times of its words, where it is one.
    let bounds = start_ms.zip(end_ms).filter(|(start, end)| start < end);
    let mut words = words(members, bounds, start_ms.unwrap_or(before_ms));
    let start_ms = start_ms
        .or_else(|| words.first().map(|word| word.start_ms))
        .unwrap_or(before_ms);
    let last_ms = words.last().map_or(start_ms, |word| word.end_ms);
    let text = clean(&members.text("text").unwrap_or_default());
    let text = text.trim();
    let joined: String = words.iter().map(|word| word.text.as_str()).collect();
    // Both say the same, and the text has every space. Where they do not, the text is what was redacted or respelt, and the
    // words may tell what must not be told.
    let text = if text.is_empty() {
        joined.trim()
    } else {
        if !is_same_but_for_spaces_and_case(text, &joined) {
            words.clear();
        }
        text
    };
    Utterance {
        index,
        text: text.to_owned(),
        start_ms,
        end_ms: end_ms.unwrap_or(last_ms).max(start_ms),
        speaker: members.count("speaker"),
        channel: members.count("channel"),
        language: members.text("language").map(|language| clean(&language)),
        words,
    }
}

/// The words in their order, with times that do not go back.
fn words(members: &Members<'_>, bounds: Option<(u64, u64)>, start_ms: u64) -> Vec<Word> {
    let within = |at: u64| bounds.map_or(at, |(start, end)| at.clamp(start, end));
    let mut before = (start_ms, start_ms);
    let mut words = Vec::new();
    for (index, item) in members.items("words").into_iter().enumerate() {
        let word = item.members();
        let text = clean(&word.text("word").unwrap_or_default());
        if text.trim().is_empty() {
            continue;
        }
        let start = word.number("start").map(|at| within(millis(at)));
        let start = start.unwrap_or(before.1).max(before.0);
        let end = word.number("end").map(|at| within(millis(at)));
        let end = end.unwrap_or(start).max(start);
        before = (start, end);
        words.push(Word {
            index,
            text,
            start_ms: start,
            end_ms: end,
            confidence: word.number("confidence"),
        });
    }
    words
}

/// Whether each letter of the one is the same letter of the other.
fn is_same_but_for_spaces_and_case(one: &str, other: &str) -> bool {
    let letters =
        |text: &str| -> Vec<char> { text.chars().filter(|c| !c.is_whitespace()).collect() };
    let (one, other) = (letters(one), letters(other));
    let is_same =
        |(one, other): (&char, &char)| one == other || one.to_lowercase().eq(other.to_lowercase());
    one.len() == other.len() && one.iter().zip(&other).all(is_same)
}

/// Seconds as milliseconds, not negative and not beyond what can be written.
fn millis(seconds: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a conversion to an integer stays within its bounds"
    )]
    let millis = (seconds * 1000.0).round() as u64;
    millis.min(LATEST_MS)
}

/// Takes out what no text file should hold: control characters, and line breaks, which become spaces.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                Some(' ')
            }
            '\u{feff}' => None,
            c if c.is_control() => None,
            c => Some(c),
        })
        .collect()
}
