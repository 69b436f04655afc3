//! Where a text may be broken: pieces that stay whole, with the times at which they are said.
//!
//! Lines break by the rules of Unicode (UAX #14), with dictionaries for Thai, Lao, Khmer and Burmese, which are written
//! without spaces, and Korean, which is written with spaces, at these alone. A piece that is wider than a row is broken between what readers take for characters (UAX #29), so an
//! emoji or an accent never comes apart.

use std::ops::Range;

use icu_segmenter::{
    GraphemeClusterSegmenter, LineSegmenter,
    options::{LineBreakOptions, LineBreakWordOption},
};
use unicode_width::UnicodeWidthStr;

use super::speech::Utterance;

/// A pause that is heard, in milliseconds: a good place for a break.
const PAUSE_MS: u64 = 300;

/// A silence, in milliseconds: nothing stays on the screen through it.
const SILENCE_MS: u64 = 1_500;

/// How well a break fits behind a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Break {
    /// In the middle of a phrase.
    Plain,
    /// Behind a comma, or in a pause.
    Phrase,
    /// Behind a sentence.
    Sentence,
    /// Here it must be.
    Silence,
}

/// What stays whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    /// Without spaces around it.
    pub(super) text: &'a str,
    /// The space before it.
    pub(super) space: &'a str,
    /// How many columns it takes.
    pub(super) columns: usize,
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    /// What kind of break comes behind it.
    pub(super) after: Break,
}

/// How many columns a text takes: wide characters, such as those of Chinese and Japanese, take two.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// Cuts an utterance into pieces of at most so many columns.
pub(super) fn pieces(utterance: &Utterance, columns_at_most: usize) -> Vec<Piece<'_>> {
    let text = utterance.text.as_str();
    let clock = Clock::of(utterance);
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let mut end_before = 0;
    let mut add = |range: Range<usize>| {
        let part = text[range.clone()].trim_start();
        let start = range.end - part.len();
        let piece = part.trim_end();
        if piece.is_empty() {
            return;
        }
        let at = start..start + piece.len();
        let (start_ms, end_ms) = clock.times(&at);
        pieces.push(Piece {
            text: piece,
            space: &text[end_before..at.start],
            columns: columns(piece),
            start_ms,
            end_ms,
            after: Break::Plain,
        });
        end_before = at.end;
    };
    let mut options = LineBreakOptions::default();
    if is_korean(text) {
        options.word_option = Some(LineBreakWordOption::KeepAll);
    }
    let lines = LineSegmenter::new_dictionary(options);
    let mut from = 0;
    for to in lines.segment_str(text).filter(|to| *to > 0) {
        let whole = text[from..to].trim_end();
        if columns(whole) <= columns_at_most {
            add(from..to);
        } else {
            break_up(whole, columns_at_most, |range| {
                add(from + range.start..from + range.end);
            });
        }
        from = to;
    }
    for index in 0..pieces.len() {
        pieces[index].after = break_after(&pieces[index], pieces.get(index + 1));
    }
    pieces
}

/// Whether it has Korean letters. Japanese with a Korean name in it has its own as well, and no spaces to go by.
fn is_korean(text: &str) -> bool {
    let is_hangul = |c| matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7af}');
    let is_kana = |c| matches!(c, '\u{3040}'..='\u{30ff}');
    text.contains(is_hangul) && !text.contains(is_kana)
}

/// Breaks a text between characters into parts that fit. A single character that does not fit is a part of its own.
fn break_up(text: &str, columns_at_most: usize, mut add: impl FnMut(Range<usize>)) {
    let (mut start, mut end, mut taken) = (0, 0, 0);
    for next in GraphemeClusterSegmenter::new().segment_str(text) {
        let more = columns(&text[end..next]);
        if end > start && taken + more > columns_at_most {
            add(start..end);
            (start, taken) = (end, 0);
        }
        taken += more;
        end = next;
    }
    add(start..end);
}

fn break_after(piece: &Piece<'_>, next: Option<&Piece<'_>>) -> Break {
    let pause_ms = next.map_or(0, |next| next.start_ms.saturating_sub(piece.end_ms));
    if pause_ms >= SILENCE_MS {
        return Break::Silence;
    }
    let closing = |c: char| "\"'”’»›)]}」』）】〉》".contains(c);
    let text = piece.text.trim_end_matches(closing);
    match text.chars().next_back() {
        Some('.') if goes_on(text, next.map_or("", |next| next.text)) => Break::Plain,
        Some('.' | '!' | '?' | '…' | '。' | '！' | '？' | '｡' | '؟' | '۔' | '।' | '॥' | '։') => {
            Break::Sentence
        }
        Some(',' | ';' | ':' | '–' | '—' | '、' | '，' | '；' | '：' | '،' | '؛') => {
            Break::Phrase
        }
        _ if pause_ms >= PAUSE_MS => Break::Phrase,
        _ => Break::Plain,
    }
}

/// Titles before a name, in some languages.
const TITLES: [&str; 9] = ["Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Sr", "Sra", "Hr"];

/// Whether a sentence goes on behind a full stop: that of a title, an initial or an abbreviation such as "p.m.", or any that
/// is followed by a small letter.
fn goes_on(text: &str, next: &str) -> bool {
    let word = text
        .trim_end_matches('.')
        .trim_start_matches(|c: char| !c.is_alphanumeric());
    let is_short = |part: &str, most: usize| {
        (1..=most).contains(&part.chars().count())
            && part.chars().all(|c| c.is_lowercase() || c.is_uppercase())
    };
    let is_initial = is_short(word, 1) && word.contains(char::is_uppercase);
    let is_abbreviation = word.contains('.') && word.split('.').all(|part| is_short(part, 2));
    is_initial || is_abbreviation || TITLES.contains(&word) || next.starts_with(char::is_lowercase)
}

/// When each part of a text is said.
struct Clock {
    /// Where the words stand in the text, and their times.
    marks: Vec<(Range<usize>, u64, u64)>,
}

impl Clock {
    /// The words' own times; without words, the utterance's.
    fn of(utterance: &Utterance) -> Self {
        let text = utterance.text.as_str();
        let mut marks = Vec::new();
        let mut letters = text.char_indices().filter(|(_, c)| !c.is_whitespace());
        for word in &utterance.words {
            // The text is the words but for spaces, so counting letters finds each.
            let count = word.text.chars().filter(|c| !c.is_whitespace()).count();
            let found: Option<(usize, char)> = letters.next();
            let Some((start, first)) = found else { break };
            let last = letters.by_ref().take(count - 1).last();
            let (at, c) = last.unwrap_or((start, first));
            marks.push((start..at + c.len_utf8(), word.start_ms, word.end_ms));
        }
        if marks.is_empty() {
            marks.push((0..text.len(), utterance.start_ms, utterance.end_ms));
        }
        Self { marks }
    }

    /// When a part of the text begins and ends. A part of a word takes its share of the word's time.
    fn times(&self, part: &Range<usize>) -> (u64, u64) {
        let share = |(word, start_ms, end_ms): &(Range<usize>, u64, u64), at: usize| {
            let within = at.clamp(word.start, word.end) - word.start;
            let length = word.len().max(1) as u64;
            start_ms + (end_ms - start_ms) * within as u64 / length
        };
        let first = self.marks.partition_point(|mark| mark.0.end <= part.start);
        let behind = self.marks.partition_point(|mark| mark.0.start < part.end);
        let start = self.marks.get(first).map(|mark| share(mark, part.start));
        let end = behind
            .checked_sub(1)
            .map(|last| share(&self.marks[last], part.end));
        let start = start.or(end).unwrap_or_default();
        (start, end.unwrap_or(start).max(start))
    }
}
