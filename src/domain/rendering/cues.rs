//! Captions: which words are shown together, when, and in which rows.
//!
//! Each utterance is cut into [pieces](super::pieces), and these are gathered into cues as large as the limits allow; of
//! the breaks that come into question, the end of a sentence is taken before a comma or a pause, and these before the
//! middle of a phrase. So a cue never holds two voices, nor a long silence. Then [time](super::timing) is put in order, and
//! the words of each cue are set in rows of about the same length.

use std::{collections::BTreeSet, ops::Range};

use super::{
    direction::{Direction, before, running},
    pieces::{Break, Piece, columns, pieces},
    speech::Speech,
    timing::{Span, arrange},
    voices::{Labels, Voice, Voices, voice},
};

/// How large a caption may be, and how long it stays. The names are those of Gladia's `subtitles_config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptionLimits {
    /// What is shown for less stays this long, if nothing else is said meanwhile. In milliseconds.
    pub minimum_duration_ms: u64,
    /// Nothing is shown for longer. In milliseconds.
    pub maximum_duration_ms: u64,
    /// Columns of a row. Wide characters, such as those of Chinese and Japanese, take two.
    pub maximum_characters_per_row: usize,
    /// Rows of a caption.
    pub maximum_rows_per_caption: usize,
}

impl Default for CaptionLimits {
    /// What broadcasters ask for: two rows of 42 columns, for one second to seven.
    fn default() -> Self {
        Self {
            minimum_duration_ms: 1_000,
            maximum_duration_ms: 7_000,
            maximum_characters_per_row: 42,
            maximum_rows_per_caption: 2,
        }
    }
}

/// Where the label of a voice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelPlace {
    /// Before the words, whenever another voice begins.
    InText,
    /// Beside the text.
    Apart,
}

/// A caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cue {
    pub(super) span: Span,
    /// Whose words they are, where that is to be told beside the text.
    pub(super) label: Option<String>,
    pub(super) rows: Vec<String>,
}

/// A caption whose rows are not set yet.
struct Draft<'a> {
    span: Span,
    voice: Voice,
    /// Which way the whole utterance runs.
    direction: Direction,
    pieces: Vec<Piece<'a>>,
}

/// Makes the captions of a transcript.
pub(super) fn cues(
    speech: &Speech,
    limits: CaptionLimits,
    wanted: &Labels,
    place: LabelPlace,
) -> Vec<Cue> {
    let voices = Voices::of(speech, wanted);
    let mut drafts = Vec::new();
    for utterance in speech.in_time_order() {
        let voice = voice(utterance);
        let label = voices
            .label(voice)
            .filter(|_| place == LabelPlace::InText)
            .map_or(0, |label| label_columns(label, limits));
        // A label and a word share the row, where there is but one.
        let columns_at_most = if limits.maximum_rows_per_caption == 1 && label > 0 {
            limits.maximum_characters_per_row - label - 1
        } else {
            limits.maximum_characters_per_row
        };
        let direction = Direction::of(&utterance.text);
        let pieces = pieces(utterance, columns_at_most);
        for range in cut(&pieces, limits, label) {
            let pieces = &pieces[range];
            let ends = pieces.iter().map(|piece| piece.end_ms);
            drafts.push(Draft {
                span: Span {
                    start_ms: pieces.first().map_or(0, |piece| piece.start_ms),
                    end_ms: ends.max().unwrap_or_default(),
                },
                voice,
                direction,
                pieces: pieces.to_vec(),
            });
        }
    }
    let order = arrange(
        drafts.iter().map(|draft| (draft.span, draft.voice)),
        limits.minimum_duration_ms,
        limits.maximum_duration_ms,
    );
    let mut voice_before = None;
    order
        .into_iter()
        .map(|(index, span)| {
            let draft = &drafts[index];
            let is_new = voice_before != Some(draft.voice);
            voice_before = Some(draft.voice);
            let label = voices.label(draft.voice);
            let in_text = label.filter(|label| {
                is_new && place == LabelPlace::InText && label_columns(label, limits) > 0
            });
            Cue {
                span,
                label: label
                    .filter(|_| place == LabelPlace::Apart)
                    .map(str::to_owned),
                rows: rows(draft, in_text, limits.maximum_characters_per_row),
            }
        })
        .collect()
}

/// The columns that a label takes, with its colon. None where it leaves no room for what is said.
fn label_columns(label: &str, limits: CaptionLimits) -> usize {
    let taken = columns(label) + 1;
    let room = if limits.maximum_rows_per_caption == 1 {
        limits.maximum_characters_per_row / 2
    } else {
        limits.maximum_characters_per_row
    };
    if taken <= room { taken } else { 0 }
}

/// Where pieces are set into rows, one after the other.
#[derive(Clone, Copy)]
struct Filling {
    rows: usize,
    columns: usize,
}

impl Filling {
    /// Rows that begin with a label.
    fn after(label: usize) -> Self {
        Self {
            rows: 1,
            columns: label,
        }
    }

    /// Takes one more piece. Says whether it begins a further row.
    fn add(&mut self, space: usize, piece: usize, columns_at_most: usize) -> bool {
        let is_row = self.columns > 0 && self.columns + space + piece > columns_at_most;
        if is_row {
            self.rows += 1;
            self.columns = piece;
        } else {
            self.columns += piece + if self.columns > 0 { space } else { 0 };
        }
        is_row
    }
}

/// How wide the space before a piece is. The first one may follow a label.
fn space_columns(pieces: &[Piece<'_>], index: usize) -> usize {
    if index == 0 {
        1
    } else {
        columns(pieces[index].space)
    }
}

/// Cuts the pieces of an utterance into cues.
fn cut(pieces: &[Piece<'_>], limits: CaptionLimits, label: usize) -> Vec<Range<usize>> {
    let mut cues = Vec::new();
    let mut start = 0;
    while start < pieces.len() {
        let rest = &pieces[start..];
        let length = next_cue(rest, fitting(rest, limits, label));
        cues.push(start..start + length);
        start += length;
    }
    cues
}

/// How many pieces fit into a cue. One does always.
fn fitting(pieces: &[Piece<'_>], limits: CaptionLimits, label: usize) -> usize {
    let mut filling = Filling::after(label);
    for (index, piece) in pieces.iter().enumerate() {
        filling.add(
            space_columns(pieces, index),
            piece.columns,
            limits.maximum_characters_per_row,
        );
        let duration_ms = piece.end_ms.saturating_sub(pieces[0].start_ms);
        let is_too_much = filling.rows > limits.maximum_rows_per_caption
            || duration_ms > limits.maximum_duration_ms;
        if index > 0 && is_too_much {
            return index;
        }
        if piece.after == Break::Silence {
            return index + 1;
        }
    }
    pieces.len()
}

/// How many of the pieces that fit make the next cue.
fn next_cue(pieces: &[Piece<'_>], most: usize) -> usize {
    let fits = &pieces[..most];
    if most == pieces.len() || fits[most - 1].after >= Break::Sentence {
        return most;
    }
    let last_with = |wanted: Break, from: usize| {
        let found = fits[from..].iter().rposition(|piece| piece.after >= wanted);
        found.map(|index| from + index + 1)
    };
    // A sentence that has just begun goes to the next cue, and so does a phrase that leaves enough behind.
    if let Some(length) = last_with(Break::Sentence, most / 4) {
        return length;
    }
    if let Some(length) = last_with(Break::Phrase, most / 2) {
        return length;
    }
    // Where little is left of the sentence, both cues get half of it.
    let left = pieces[most..]
        .iter()
        .take(most / 4)
        .position(|piece| piece.after >= Break::Sentence)
        .map_or(0, |end| end + 1);
    let little = if left == 0 && pieces.len() - most <= most / 4 {
        pieces.len() - most
    } else {
        left
    };
    if little > 0 {
        (most + little).div_ceil(2)
    } else {
        most
    }
}

/// Sets the words of a cue in as few rows as hold them.
fn rows(draft: &Draft<'_>, label: Option<&str>, columns_at_most: usize) -> Vec<String> {
    let pieces = draft.pieces.as_slice();
    let label = label.map(|label| before(label, draft.direction));
    // What sets a label apart takes no column.
    let label_columns = label.as_deref().map_or(0, columns);
    let starts = row_starts(pieces, label_columns, columns_at_most);
    let mut rows = vec![label.unwrap_or_default()];
    for (index, piece) in pieces.iter().enumerate() {
        if starts.contains(&index) {
            rows.push(String::new());
        }
        if let Some(row) = rows.last_mut() {
            if !row.is_empty() {
                row.push_str(if index == 0 { " " } else { piece.space });
            }
            row.push_str(piece.text);
        }
    }
    rows.into_iter()
        .map(|row| running(row, draft.direction))
        .collect()
}

/// Which pieces begin a further row.
fn row_starts(pieces: &[Piece<'_>], label: usize, columns_at_most: usize) -> BTreeSet<usize> {
    let fill = |columns_at_most: usize| {
        let mut filling = Filling::after(label);
        let indexes = pieces.iter().enumerate().filter(|(index, piece)| {
            filling.add(
                space_columns(pieces, *index),
                piece.columns,
                columns_at_most,
            )
        });
        indexes.map(|(index, _)| index).collect::<BTreeSet<_>>()
    };
    let starts = fill(columns_at_most);
    if starts.len() == 1 {
        return second_row(pieces, label, columns_at_most).map_or(starts, |start| [start].into());
    }
    // The narrowest rows that are not more than these are all of about the same length.
    let widest = pieces.iter().map(|piece| piece.columns).max();
    let mut least = widest.unwrap_or(1).max(label).min(columns_at_most);
    let mut most = columns_at_most;
    while least < most {
        let middle = least.midpoint(most);
        if fill(middle).len() > starts.len() {
            least = middle + 1;
        } else {
            most = middle;
        }
    }
    fill(most)
}

/// Where the second of two rows begins: near the middle, and rather behind a sentence or a phrase than within one.
fn second_row(pieces: &[Piece<'_>], label: usize, columns_at_most: usize) -> Option<usize> {
    let widths = pieces.iter().enumerate();
    let widths = widths.map(|(index, piece)| (space_columns(pieces, index), piece.columns));
    let mut right: usize = widths.clone().map(|(space, piece)| space + piece).sum();
    let mut left = label;
    let mut best: Option<(usize, usize)> = None;
    for (index, (space, piece)) in widths.enumerate() {
        let longer = left.max(right - space);
        let is_phrase = index > 0 && pieces[index - 1].after >= Break::Phrase;
        let cost = longer + if is_phrase { 0 } else { columns_at_most / 4 };
        let fits = left > 0 && longer <= columns_at_most;
        if fits && best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, index));
        }
        left += piece + if left > 0 { space } else { 0 };
        right -= space + piece;
    }
    best.map(|(_, index)| index)
}
