//! The words as a table: comma-separated values after RFC 4180.
//!
//! A word that a spreadsheet would take for a formula gets an apostrophe before it, which is how people tell a spreadsheet
//! that it is none; numbers and signs that stand alone are left as they are.

use super::speech::{Speech, Utterance, Word};

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
        no_formula(word.text.trim()),
        word.confidence.map_or_else(String::new, |c| c.to_string()),
        count(utterance.speaker),
        count(utterance.channel),
        no_formula(utterance.language.as_deref().unwrap_or_default()),
    ]
}

/// Source: <https://owasp.org/www-community/attacks/CSV_Injection>.
fn no_formula(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@'])
        && text.chars().any(char::is_alphabetic)
        || text.starts_with('=');
    if is_formula {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn seconds(at_ms: u64) -> String {
    format!("{}.{:03}", at_ms / 1_000, at_ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_text() {
        for formula in ["=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "-2+A1", "=１"] {
            assert_eq!(no_formula(formula), format!("'{formula}"));
        }
        for word in ["word", "-", "-5", "+33", "a=b", "“=x”", ""] {
            assert_eq!(no_formula(word), word);
        }
    }
}
