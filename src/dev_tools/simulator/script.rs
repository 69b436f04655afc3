//! What is said in which audio.
//!
//! A script is a JSON file: entries that each name a file or a URL by a pattern, and say what is heard in it. An entry
//! with a `duration` stands for audio that does not exist: its URL is never fetched.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

/// The recording that comes with the program: a short call between two people.
pub const BUNDLED_RECORDING: &[u8] = include_bytes!("../assets/support-call.ogg");

/// The file name of [`BUNDLED_RECORDING`], by which the bundled script knows it.
pub const BUNDLED_RECORDING_NAME: &str = "support-call.ogg";

/// What is said in [`BUNDLED_RECORDING`], and in the made-up recordings of the guide for callers.
const BUNDLED_SCRIPTS: [&str; 2] = [
    include_str!("../assets/support-call.json"),
    include_str!("../assets/guide.json"),
];

/// What is said in which audio; the first entry that matches holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    entries: Vec<Entry>,
}

/// One piece of audio.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// The file name or URL; `*` stands for any text.
    #[serde(rename = "match")]
    pattern: String,
    /// The length in seconds of audio that does not exist.
    pub(super) duration: Option<f64>,
    /// The channels of audio that does not exist.
    pub(super) channels: Option<usize>,
    /// The language that is spoken; English if it is not said.
    pub(super) language: Option<String>,
    /// What is said. Without utterances the words are simulated.
    #[serde(default)]
    pub(super) utterances: Vec<Line>,
    /// Named entities, found in the words wherever they occur.
    #[serde(default)]
    pub(super) entities: Vec<Entity>,
    /// Summaries by their type.
    #[serde(default)]
    pub(super) summaries: BTreeMap<String, String>,
    /// Answers by their prompt.
    #[serde(default)]
    pub(super) answers: BTreeMap<String, String>,
    /// Add-ons that fail, by their key in the result, each with its error object.
    #[serde(default)]
    pub(super) failed_addons: BTreeMap<String, Value>,
    /// Makes the job end in error.
    pub(super) error: Option<JobError>,
}

/// One utterance.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) text: String,
    /// Without times the utterances share the audio by the length of their texts.
    pub(super) start: Option<f64>,
    pub(super) end: Option<f64>,
    #[serde(default)]
    pub(super) speaker: u32,
    #[serde(default)]
    pub(super) channel: usize,
    pub(super) language: Option<String>,
    pub(super) sentiment: Option<String>,
    pub(super) emotion: Option<String>,
    #[serde(default)]
    pub(super) translations: BTreeMap<String, String>,
}

/// A named entity.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entity {
    pub(super) entity_type: String,
    pub(super) text: String,
}

/// How a job fails.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobError {
    pub(super) code: u16,
    pub(super) message: String,
}

impl Script {
    /// What is said in the bundled recording, and in those of the guide for callers, `docs/api.md`.
    ///
    /// # Panics
    ///
    /// Never: the bundled scripts are checked by a test.
    #[must_use]
    pub fn bundled() -> Self {
        let [call, guide] = BUNDLED_SCRIPTS.map(|script| {
            script
                .parse::<Self>()
                .expect("the bundled scripts are valid")
        });
        call.or(guide)
    }

    /// Reads a script file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is not a script.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the script {}", path.display()))?;
        text.parse()
            .with_context(|| format!("{} is not a script", path.display()))
    }

    /// The entry for a file name or a URL.
    pub(super) fn find(&self, name: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| matches(&entry.pattern, name))
    }

    /// This script, and the other behind it.
    pub(super) fn or(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self
    }
}

impl std::str::FromStr for Script {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str::<Self>(text)
    }
}

/// Whether the text fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_script_knows_the_bundled_recording() {
        let script = Script::bundled();
        let entry = script.find(BUNDLED_RECORDING_NAME).unwrap();
        assert_eq!(entry.utterances.len(), 7);
        assert!(
            entry
                .utterances
                .iter()
                .all(|line| line.translations.contains_key("fr"))
        );
    }

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches(
            "https://audio.example/*",
            "https://audio.example/1.wav"
        ));
        assert!(matches("*call*.ogg", "a-call-b.ogg"));
        assert!(matches("a.wav", "a.wav"));
        assert!(!matches("a.wav", "a.wave"));
        assert!(!matches("*.wav", "a.wave"));
        assert!(!matches("b*", "ab"));
    }
}
