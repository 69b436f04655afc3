//! Translations: the script's own, or every word marked with the language.

use serde::Serialize;
use serde_json::Value;

use super::{
    Source,
    addons::Addon,
    json, sentences,
    subtitles::{self, Subtitles},
    transcript::{Transcript, Utterance, spread},
};

#[derive(Serialize)]
struct Translation {
    languages: Vec<String>,
    utterances: Vec<Utterance>,
    full_transcript: String,
    error: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sentences: Option<Vec<Addon>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtitles: Option<Vec<Subtitles>>,
}

/// The add-on's envelope: one result for each target language.
pub(super) fn addon(source: &Source<'_>, transcript: &Transcript) -> Addon {
    let targets = source.options["translation_config"]["target_languages"].as_array();
    let translations = targets
        .into_iter()
        .flatten()
        .filter_map(|target| target.as_str())
        .map(|target| json(translate(source, transcript, target)));
    Addon::list(translations.collect())
}

fn translate(source: &Source<'_>, transcript: &Transcript, target: &str) -> Translation {
    let utterances = transcript.utterances.iter().enumerate();
    let translated = utterances.map(|(index, utterance)| {
        // The script's translation names whom the redaction hides.
        let scripted = source
            .line(index)
            .filter(|_| !source.wants("pii_redaction"))
            .and_then(|line| line.translations.get(target).cloned());
        let text = scripted.unwrap_or_else(|| marked(&utterance.text, target));
        Utterance {
            words: spread(&text, utterance.start, utterance.end, 1.0),
            language: target.to_owned(),
            confidence: 1.0,
            ..utterance.clone()
        }
    });
    let translated = Transcript::of(translated.collect());
    Translation {
        languages: vec![target.to_owned()],
        sentences: source
            .wants("sentences")
            .then(|| vec![sentences::addon(&translated)]),
        subtitles: source
            .wants("subtitles")
            .then(|| subtitles::write(source, &translated.utterances)),
        utterances: translated.utterances,
        full_transcript: translated.full_transcript,
        error: None,
    }
}

fn marked(text: &str, target: &str) -> String {
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| format!("{target}:{word}"))
        .collect();
    words.join(" ")
}
