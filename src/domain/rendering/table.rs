//! The words as a table: comma-separated values after RFC 4180.
//!
//! No word is a [formula](no_formula) to a spreadsheet.

use super::speech::{Speech, Utterance, Word};
use crate::domain::spreadsheet::no_formula;

const COLUMNS: [&str; 9] = [
    "utterance_index",
    "word_index",
    "start",
    "end",
    "word",
    "confidence",
    "speaker",
    "channel",
    "language",
];

/// Writes the table, in Gladia's order. An utterance without words is a row with its text and no word index.
pub(super) fn csv(speech: &Speech) -> Result<String, csv::Error> {
    let mut table = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    table.write_record(COLUMNS)?;
    for utterance in &speech.utterances {
        for word in &utterance.words {
            table.write_record(row(utterance, Some(word.index), word))?;
        }
        if utterance.words.is_empty() {
            let whole = Word {
                text: utterance.text.clone(),
                start_ms: utterance.start_ms,
                end_ms: utterance.end_ms,
                ..Word::default()
            };
            table.write_record(row(utterance, None, &whole))?;
        }
    }
    let bytes = table
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn row(utterance: &Utterance, index: Option<usize>, word: &Word) -> [String; COLUMNS.len()] {
    let count = |number: Option<u32>| number.map_or_else(String::new, |n| n.to_string());
    [
        utterance.index.to_string(),
        index.map_or_else(String::new, |index| index.to_string()),
        seconds(word.start_ms),
        seconds(word.end_ms),
        no_formula(word.text.trim()).into_owned(),
        word.confidence.map_or_else(String::new, |c| c.to_string()),
        count(utterance.speaker),
        count(utterance.channel),
        no_formula(utterance.language.as_deref().unwrap_or_default()).into_owned(),
    ]
}

fn seconds(at_ms: u64) -> String {
    format!("{}.{:03}", at_ms / 1_000, at_ms % 1_000)
}
