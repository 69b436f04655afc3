//! Transcripts of all shapes, rendered, and read again by parsers that are not ours.

mod captions;
mod files;
mod properties;
mod scripts;
mod times;

use std::time::Duration;

use serde_json::{Value, json};

use super::{CannotRender, CaptionLimits, Format, Labels, Wishes, pieces::columns, render};

/// A caption as a parser of others reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Caption {
    start_ms: u64,
    end_ms: u64,
    rows: Vec<String>,
    /// The voice of `WebVTT`.
    voice: Option<String>,
}

impl Caption {
    fn text(&self) -> String {
        self.rows.join(" ")
    }
}

fn result(utterances: impl Into<Value>) -> Value {
    let utterances: Value = utterances.into();
    json!({
        "metadata": { "audio_duration": 60.0 },
        "transcription": { "languages": ["en"], "full_transcript": "", "utterances": utterances },
    })
}

/// An utterance of words that take 0.3 s each, with 0.1 s in between. Words are told apart by `|`, with their spaces.
fn said(start: f64, text: &str) -> Value {
    spoken(start, text, None, None)
}

fn spoken(start: f64, text: &str, speaker: Option<u32>, channel: Option<u32>) -> Value {
    let words: Vec<&str> = if text.contains('|') {
        text.split('|').collect()
    } else {
        text.split_inclusive(' ').collect()
    };
    let mut at = start;
    let words: Vec<Value> = words
        .iter()
        .map(|word| {
            let word = json!({ "word": word, "start": at, "end": at + 0.3, "confidence": 0.9 });
            at += 0.4;
            word
        })
        .collect();
    json!({
        "text": text.replace('|', "").trim(), "language": "en", "start": start, "end": at - 0.1,
        "confidence": 0.9, "speaker": speaker, "channel": channel, "words": words,
    })
}

fn rendered(result: &Value, format: Format, wishes: &Wishes) -> String {
    try_render(result, format, wishes).unwrap()
}

fn try_render(result: &Value, format: Format, wishes: &Wishes) -> Result<String, CannotRender> {
    render(result.to_string().as_bytes(), format, wishes, "call.mp3")
}

fn text(result: &Value, format: Format) -> String {
    rendered(result, format, &Wishes::default())
}

/// The captions of an SRT, as `srtparse` reads it.
fn read_srt(file: &str) -> Vec<Caption> {
    let items = srtparse::from_str(file).unwrap_or_else(|error| panic!("{error}: {file}"));
    let captions = items.into_iter().zip(1..).map(|(item, number)| {
        assert_eq!(item.pos, number);
        let ms = |time: srtparse::Time| u64::try_from(Duration::from(time).as_millis()).unwrap();
        Caption {
            start_ms: ms(item.start_time),
            end_ms: ms(item.end_time),
            rows: item.text.lines().map(str::to_owned).collect(),
            voice: None,
        }
    });
    captions.collect()
}

/// The captions of a VTT, as `webvtt-parser` reads it.
fn read_vtt(file: &str) -> Vec<Caption> {
    let vtt = webvtt_parser::Vtt::parse(file).unwrap_or_else(|error| panic!("{error:?}: {file}"));
    let unescape = |text: &str| {
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&")
    };
    let captions = vtt.cues.iter().map(|cue| {
        let spoken = cue.text.strip_prefix("<v ").map(|rest| {
            let (voice, text) = rest.split_once('>').unwrap();
            (Some(unescape(voice)), text.strip_suffix("</v>").unwrap())
        });
        let (voice, text) = spoken.unwrap_or((None, cue.text));
        assert!(!text.contains(['<', '>']), "a tag is left in {text}");
        Caption {
            start_ms: cue.start.as_milliseconds(),
            end_ms: cue.end.as_milliseconds(),
            rows: text.lines().map(unescape).collect(),
            voice,
        }
    });
    captions.collect()
}

fn srt(result: &Value, wishes: &Wishes) -> Vec<Caption> {
    read_srt(&rendered(result, Format::Srt, wishes))
}

fn vtt(result: &Value, wishes: &Wishes) -> Vec<Caption> {
    read_vtt(&rendered(result, Format::Vtt, wishes))
}

fn rows(captions: &[Caption]) -> Vec<&str> {
    let rows = captions.iter().flat_map(|caption| &caption.rows);
    rows.map(String::as_str).collect()
}

/// A text without its spaces.
fn dense(text: &str) -> String {
    text.split_whitespace().collect()
}

/// The text of an SRT with the marks for which it has other letters, and without those that nobody sees.
fn as_said(text: &str) -> String {
    text.replace('→', "-->")
        .replace('‹', "<")
        .replace('⧵', "\\")
        .replace(['\u{200e}', '\u{200f}'], "")
}

fn wishes(limits: CaptionLimits) -> Wishes {
    Wishes {
        limits,
        ..Wishes::default()
    }
}

fn narrow(columns: usize, rows: usize) -> Wishes {
    wishes(CaptionLimits {
        maximum_characters_per_row: columns,
        maximum_rows_per_caption: rows,
        ..CaptionLimits::default()
    })
}

fn unlabelled() -> Wishes {
    Wishes {
        labels: Labels {
            shown: Some(false),
            ..Labels::default()
        },
        ..Wishes::default()
    }
}

#[track_caller]
fn assert_within(captions: &[Caption], limits: CaptionLimits) {
    for caption in captions {
        assert!(caption.start_ms < caption.end_ms, "{caption:?}");
        let duration_ms = caption.end_ms - caption.start_ms;
        assert!(duration_ms <= limits.maximum_duration_ms, "{caption:?}");
        let rows = caption.rows.len();
        assert!(
            (1..=limits.maximum_rows_per_caption).contains(&rows),
            "{caption:?}"
        );
        for row in &caption.rows {
            assert_eq!(row.trim(), row);
            assert!(!row.is_empty(), "{caption:?}");
            let columns = columns(row);
            assert!(columns <= limits.maximum_characters_per_row, "{caption:?}");
        }
    }
    assert!(captions.is_sorted_by_key(|caption| caption.start_ms));
}
