//! Transcripts as Gladia writes them, from a seed: words of the lengths and the frequencies that speech has, each with its
//! times and its confidence, within utterances, and the whole text once more.

use std::fmt::Write;

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// How many different words there are: one less than a power of two.
const VOCABULARY: usize = (1 << OCTAVES) - 1;
const OCTAVES: u32 = 12;

/// The commonest words of English, which are half of what is said.
const COMMON: &str = "the be to of and a in that have I it for not on with he as you do at this but his by from they we say \
                      her she or an will my one all would there their what so up out if about who get which go me when \
                      make can like time no just him know take people into year your good some could them see other than \
                      then now look only come its over think also back after use two how our work first well way even new \
                      want because any these give day most us";

const ONSETS: [&str; 24] = [
    "b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "h", "l", "m", "n", "p", "pl", "pr", "r", "s",
    "sh", "st", "t", "tr", "v", "w",
];
const NUCLEI: [&str; 10] = ["a", "e", "i", "o", "u", "ea", "ou", "ai", "é", "io"];
const CODAS: [&str; 12] = [
    "", "n", "r", "s", "t", "nd", "ll", "ng", "ck", "m", "st", "tion",
];

/// Speaks, the same from the same seed.
struct Speaker {
    random: StdRng,
    vocabulary: Vec<String>,
    second: f64,
}

/// A result object of about so many bytes: `metadata` and `transcription`.
pub fn result(seed: u64, bytes: usize) -> String {
    let mut speaker = Speaker::new(seed);
    let mut utterances = String::new();
    let mut full = String::new();
    // A byte of the text stands in it three times: word by word, in its utterance, and in the whole.
    while utterances.len() + full.len() + 300 < bytes {
        let utterance = speaker.utterance();
        if !full.is_empty() {
            utterances.push(',');
            full.push(' ');
        }
        utterances.push_str(&utterance.json);
        full.push_str(&utterance.text);
    }
    let seconds = speaker.second;
    format!(
        r#"{{"metadata":{{"audio_duration":{seconds:.3},"number_of_distinct_channels":1,"billing_time":{seconds:.3},"transcription_time":{:.3}}},"transcription":{{"languages":["en"],"utterances":[{utterances}],"full_transcript":"{full}"}}}}"#,
        seconds / 40.0,
    )
}

struct Utterance {
    text: String,
    json: String,
}

impl Speaker {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut vocabulary: Vec<String> = COMMON.split_whitespace().map(str::to_owned).collect();
        while vocabulary.len() < VOCABULARY {
            let mut word = String::new();
            for _ in 0..random.random_range(1..=4) {
                for part in [&ONSETS[..], &NUCLEI, &CODAS] {
                    word.push_str(part[random.random_range(0..part.len())]);
                }
            }
            vocabulary.push(word);
        }
        Self {
            random,
            vocabulary,
            second: 0.0,
        }
    }

    /// A word by its frequency: the nth is said once where the first is said n times, about.
    fn word(&mut self) -> String {
        let octave = 1 << self.random.random_range(0..OCTAVES);
        let rank = self.random.random_range(octave..2 * octave);
        self.vocabulary[rank - 1].clone()
    }

    fn utterance(&mut self) -> Utterance {
        let count = self.random.random_range(4..=24);
        let (mut text, mut words) = (String::new(), String::new());
        let (begin, mut sum) = (self.second, 0.0);
        for nth in 0..count {
            let mut word = self.word();
            if nth == 0
                && let Some(first) = word.get_mut(..1)
            {
                first.make_ascii_uppercase();
            }
            match self.random.random_range(0..14) {
                _ if nth + 1 == count => word.push('.'),
                0 => word.push(','),
                _ => {}
            }
            let start = self.second + self.random.random_range(0.0..0.12);
            let spoken = 0.05 * f64::from(u32::try_from(word.len()).unwrap());
            let end = start + spoken + self.random.random_range(0.0..0.1);
            self.second = end;
            // Two digits mostly, and now and then what a binary fraction makes of them.
            let confidence = 1.0 - self.random.random_range(0.0..0.4_f64).powi(2);
            sum += confidence;
            let comma = if nth == 0 { "" } else { "," };
            let (start, end) = (self.written(start), self.written(end));
            write!(
                words,
                r#"{comma}{{"word":" {word}","start":{start},"end":{end},"confidence":{confidence:.2}}}"#
            )
            .unwrap();
            if nth > 0 {
                text.push(' ');
            }
            text.push_str(&word);
        }
        self.second += self.random.random_range(0.1..1.5);
        let (begin, end) = (self.written(begin), self.written(self.second));
        let (speaker, confidence) = (self.random.random_range(0..3), sum / f64::from(count));
        let json = format!(
            r#"{{"text":"{text}","language":"en","start":{begin},"end":{end},"confidence":{confidence:.2},"channel":0,"speaker":{speaker},"words":[{words}]}}"#
        );
        Utterance { text, json }
    }

    fn written(&mut self, second: f64) -> String {
        let rounded = (second * 1000.0).round() / 1000.0;
        if self.random.random_range(0..10) == 0 {
            format!("{}", rounded + f64::EPSILON * rounded.max(1.0))
        } else {
            format!("{rounded}")
        }
    }
}
