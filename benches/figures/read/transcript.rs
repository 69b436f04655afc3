//! Results with the shape of transcripts: words of a vocabulary with its usual weights, times and confidences with all their
//! digits, which is most of what a transcript is and what compresses least.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

const WORDS: [&str; 48] = [
    "the",
    "of",
    "and",
    "to",
    "a",
    "in",
    "is",
    "it",
    "you",
    "that",
    "we",
    "for",
    "on",
    "are",
    "with",
    "as",
    "so",
    "they",
    "be",
    "at",
    "this",
    "have",
    "from",
    "or",
    "one",
    "had",
    "by",
    "yes",
    "but",
    "not",
    "what",
    "all",
    "were",
    "when",
    "customer",
    "invoice",
    "delivery",
    "tomorrow",
    "morning",
    "actually",
    "understand",
    "question",
    "account",
    "transcription",
    "certainly",
    "twenty-five",
    "approximately",
    "thank",
];

const WORDS_AN_UTTERANCE: usize = 12;

/// A result whose JSON is about this long. The same seed gives the same one.
pub fn result(seed: u64, bytes: usize) -> Value {
    let mut dice = StdRng::seed_from_u64(seed);
    let (mut utterances, mut transcript) = (Vec::new(), String::new());
    let (mut at, mut length) = (0.0_f64, 400);
    while length < bytes {
        let began = at;
        let mut text = String::new();
        let mut words = Vec::with_capacity(WORDS_AN_UTTERANCE);
        for _ in 0..WORDS_AN_UTTERANCE {
            // Frequent ones come first.
            let reach = dice.random_range(1..=WORDS.len());
            let word = WORDS[dice.random_range(0..reach)];
            let end = at + dice.random_range(0.08..0.6);
            words.push(json!({
                "word": format!(" {word}"), "start": thousandths(at), "end": thousandths(end),
                "confidence": thousandths(dice.random_range(0.4..1.0)),
            }));
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
            at = end + dice.random_range(0.0..0.2);
        }
        let utterance = json!({
            "text": text, "language": "en", "start": thousandths(began), "end": thousandths(at),
            "confidence": thousandths(dice.random_range(0.6..1.0)), "channel": 0,
            "speaker": dice.random_range(0..3), "words": words,
        });
        length += utterance.to_string().len() + 1 + text.len() + 1;
        transcript.push_str(&text);
        transcript.push(' ');
        utterances.push(utterance);
    }
    json!({
        "metadata": {
            "audio_duration": thousandths(at), "number_of_distinct_channels": 1, "billing_time": thousandths(at),
            "transcription_time": 9.108,
        },
        "transcription": { "languages": ["en"], "utterances": utterances, "full_transcript": transcript },
    })
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
