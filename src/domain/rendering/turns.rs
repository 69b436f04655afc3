//! Texts to read: plain, and Markdown. Both go by turns: what one voice says until another is heard.

use std::fmt::Write as _;

use super::{
    direction::{Direction, before},
    speech::{Speech, Utterance},
    voices::{Labels, Voices, voice},
};

/// What one voice says until another is heard.
struct Turn<'a> {
    label: Option<&'a str>,
    utterances: Vec<&'a Utterance>,
}

impl Turn<'_> {
    fn start_ms(&self) -> u64 {
        self.utterances.first().map_or(0, |first| first.start_ms)
    }

    fn end_ms(&self) -> u64 {
        let ends = self.utterances.iter().map(|utterance| utterance.end_ms);
        ends.max().unwrap_or_default()
    }
}

/// The turns in the order in which they begin. Without labels each utterance is one.
fn turns<'a>(speech: &'a Speech, voices: &'a Voices) -> Vec<Turn<'a>> {
    let mut turns: Vec<Turn<'a>> = Vec::new();
    for utterance in speech.in_time_order() {
        let label = voices.label(voice(utterance));
        match turns.last_mut() {
            Some(turn) if label.is_some() && turn.label == label => turn.utterances.push(utterance),
            _ => turns.push(Turn {
                label,
                utterances: vec![utterance],
            }),
        }
    }
    turns
}

/// Writes plain text: a paragraph for each turn, with a line for each utterance.
pub(super) fn txt(speech: &Speech, wanted: &Labels) -> String {
    let voices = Voices::of(speech, wanted);
    let turns = turns(speech, &voices);
    let paragraphs = turns.iter().map(|turn| {
        let mut lines: Vec<String> = turn.utterances.iter().map(|u| u.text.clone()).collect();
        if let Some(label) = turn.label {
            lines[0] = format!("{} {}", before(label, Direction::of(&lines[0])), lines[0]);
        }
        lines.join("\n") + "\n"
    });
    let paragraphs: Vec<String> = paragraphs.collect();
    paragraphs.join("\n")
}

/// Writes Markdown: a title, what was transcribed, and the turns with their times.
pub(super) fn md(speech: &Speech, wanted: &Labels, title: &str) -> String {
    let voices = Voices::of(speech, wanted);
    let mut text = format!("# {}\n\n", escape(title));
    // Writing to a string cannot fail.
    if let Some(duration_ms) = speech.duration_ms {
        let _ = writeln!(text, "- Duration: {}", clock(duration_ms));
    }
    if !speech.languages.is_empty() {
        let _ = writeln!(text, "- Language: {}", escape(&speech.languages.join(", ")));
    }
    if let Some(from) = speech
        .translated_from
        .as_ref()
        .filter(|from| !from.is_empty())
    {
        let _ = writeln!(text, "- Translated from: {}", escape(&from.join(", ")));
    }
    let labels: Vec<String> = voices.labels().into_iter().map(escape).collect();
    if !labels.is_empty() {
        let _ = writeln!(text, "- Speakers: {}", labels.join("; "));
    }
    for turn in turns(speech, &voices) {
        let label = turn.label.map(|label| format!("**{}** ", escape(label)));
        let (start, end) = (clock(turn.start_ms()), clock(turn.end_ms()));
        let _ = writeln!(text, "\n{}*{start} – {end}*\n", label.unwrap_or_default());
        for utterance in &turn.utterances {
            let _ = writeln!(text, "{}", escape(&utterance.text));
        }
    }
    text
}

/// Writes what Markdown takes for a mark as a letter: everywhere, or where a line begins.
///
/// Source: <https://spec.commonmark.org/0.31.2/#backslash-escapes>.
fn escape(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    // The mark behind a number at the beginning makes a list of it.
    let number = line.bytes().take_while(u8::is_ascii_digit).count();
    for (at, c) in line.char_indices() {
        let is_mark = "\\`*_[]<>#&~|$".contains(c)
            || (at == 0 && "+-=:".contains(c))
            || (at == number && number > 0 && ".)".contains(c));
        if is_mark {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Hours, minutes and seconds.
fn clock(at_ms: u64) -> String {
    let seconds = at_ms / 1_000;
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_markdown_are_letters_in_a_text() {
        for (text, expected) in [
            ("plain, text. (yes)!", "plain, text. (yes)!"),
            ("# no title", "\\# no title"),
            ("1. no list", "1\\. no list"),
            ("1986) no list", "1986\\) no list"),
            ("- no list", "\\- no list"),
            ("=== no title", "\\=== no title"),
            ("[NAME_1] said *what*", "\\[NAME\\_1\\] said \\*what\\*"),
            ("a < b && `c` ~~d~~", "a \\< b \\&\\& \\`c\\` \\~\\~d\\~\\~"),
        ] {
            assert_eq!(escape(text), expected);
        }
    }
}
