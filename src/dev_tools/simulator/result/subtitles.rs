//! Subtitles as SRT and VTT, cut to the rows and durations that were asked for.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Source, count, transcript::Utterance};

/// One file of subtitles.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Subtitles {
    format: String,
    subtitles: String,
}

struct Limits {
    row: Option<usize>,
    rows: usize,
    shortest: f64,
    longest: f64,
}

struct Caption {
    start: f64,
    end: f64,
    rows: Vec<String>,
}

/// Writes the utterances in every format that was asked for.
pub(super) fn write(source: &Source<'_>, utterances: &[Utterance]) -> Vec<Subtitles> {
    let config = &source.options["subtitles_config"];
    let limits = Limits {
        row: count(&config["maximum_characters_per_row"]),
        rows: count(&config["maximum_rows_per_caption"]).unwrap_or(2),
        shortest: config["minimum_duration"].as_f64().unwrap_or(0.0),
        longest: config["maximum_duration"].as_f64().unwrap_or(f64::MAX),
    };
    let captions: Vec<Caption> = utterances
        .iter()
        .flat_map(|utterance| cut(utterance, &limits))
        .collect();
    // Gladia writes a dot in its own style, and the comma of the standard when told to comply.
    let comma = config["style"] == "compliance";
    let formats = config["formats"].as_array().into_iter().flatten();
    formats
        .filter_map(|format| format.as_str())
        .map(|format| Subtitles {
            format: format.to_owned(),
            subtitles: render(&captions, format, comma),
        })
        .collect()
}

fn cut(utterance: &Utterance, limits: &Limits) -> Vec<Caption> {
    let mut captions: Vec<Caption> = Vec::new();
    for word in &utterance.words {
        let text = word.word.trim();
        let fits_row = |row: &str| {
            limits
                .row
                .is_none_or(|most| row.chars().count() + 1 + text.chars().count() <= most)
        };
        match captions.last_mut() {
            Some(open) if word.end - open.start <= limits.longest => {
                open.end = word.end;
                if let Some(row) = open.rows.last_mut().filter(|row| fits_row(row)) {
                    row.push(' ');
                    row.push_str(text);
                    continue;
                }
                if open.rows.len() < limits.rows {
                    open.rows.push(text.to_owned());
                    continue;
                }
                open.end = word.start;
            }
            _ => {}
        }
        captions.push(Caption {
            start: word.start,
            end: word.end,
            rows: vec![text.to_owned()],
        });
    }
    if let [only] = captions.as_mut_slice() {
        only.end = utterance.end;
    }
    for caption in &mut captions {
        caption.end = caption.end.max(caption.start + limits.shortest);
    }
    captions
}

fn render(captions: &[Caption], format: &str, comma: bool) -> String {
    let vtt = format == "vtt";
    let separator = if comma && !vtt { ',' } else { '.' };
    let blocks: Vec<String> = captions
        .iter()
        .zip(1..)
        .map(|(caption, number)| {
            let mut block = String::new();
            // Writing to a string cannot fail.
            let _ = writeln!(
                block,
                "{number}\n{} --> {}\n{}",
                stamp(caption.start, separator),
                stamp(caption.end, separator),
                caption.rows.join("\n")
            );
            block
        })
        .collect();
    let head = if vtt { "WEBVTT\n\n" } else { "" };
    format!("{head}{}", blocks.join("\n"))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times within a recording are small and not negative"
)]
fn stamp(seconds: f64, separator: char) -> String {
    let millis = (seconds * 1000.0).round() as u64;
    let (s, ms) = (millis / 1000, millis % 1000);
    format!(
        "{:02}:{:02}:{:02}{separator}{ms:03}",
        s / 3600,
        s / 60 % 60,
        s % 60
    )
}
