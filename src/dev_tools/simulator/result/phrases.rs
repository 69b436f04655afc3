//! Phrases in the words: found wherever they occur, and replaced by another spelling or by a redaction.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    Source,
    transcript::{Transcript, Word},
};

/// Groups stand for many types; each is read as "all of them".
const GROUPS: [&str; 13] = [
    "APPI",
    "APPI_SENSITIVE",
    "CCI",
    "CORE_ENTITIES",
    "CPRA",
    "GDPR",
    "GDPR_SENSITIVE",
    "HEALTH_INFORMATION",
    "HIPAA_SAFE_HARBOR",
    "LIDI",
    "NUMERICAL_EXCL_PCI",
    "PCI",
    "QUEBEC_PRIVACY_ACT",
];

/// The word without its space and the punctuation around it.
pub(super) fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// Whether the phrase stands at the beginning of these words; if so, how many words it is.
pub(super) fn starts_with(words: &[Word], phrase: &str, ignore_case: bool) -> Option<usize> {
    let mut count = 0;
    for part in phrase.split_whitespace() {
        let word = bare(&words.get(count)?.word);
        let part = bare(part);
        let same = if ignore_case {
            word.to_lowercase() == part.to_lowercase()
        } else {
            word == part
        };
        if !same {
            return None;
        }
        count += 1;
    }
    (count > 0).then_some(count)
}

/// Applies `custom_spelling`.
pub(super) fn respell(source: &Source<'_>, transcript: &mut Transcript) {
    if !source.wants("custom_spelling") {
        return;
    }
    let dictionary = source.options["custom_spelling_config"]["spelling_dictionary"].as_object();
    for (correct, variants) in dictionary.into_iter().flatten() {
        let variants = variants.as_array().into_iter().flatten();
        for variant in variants.filter_map(|variant| variant.as_str()) {
            replace(transcript, variant, true, |_| correct.clone());
        }
    }
    transcript.refresh();
}

/// Applies `pii_redaction` to the script's entities.
pub(super) fn redact(source: &Source<'_>, transcript: &mut Transcript) {
    let (true, Some(entry)) = (source.wants("pii_redaction"), source.entry) else {
        return;
    };
    let config = &source.options["pii_redaction_config"];
    let wanted: Option<Vec<&str>> = match &config["entity_types"] {
        Value::String(kind) => Some(vec![kind]),
        Value::Array(kinds) => Some(kinds.iter().filter_map(Value::as_str).collect()),
        _ => None,
    };
    let mask = config["processed_text_type"] == "MASK";
    let mut entities: Vec<_> = entry
        .entities
        .iter()
        .filter(|entity| {
            wanted.as_ref().is_none_or(|wanted| {
                wanted.iter().any(|wanted| {
                    GROUPS.contains(wanted)
                        || entity.entity_type == *wanted
                        || entity
                            .entity_type
                            .strip_prefix(wanted)
                            .is_some_and(|rest| rest.starts_with('_'))
                })
            })
        })
        .collect();
    // A full name goes before the given name inside it.
    entities.sort_by_key(|entity| std::cmp::Reverse(entity.text.len()));
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    for entity in entities {
        let number = numbers.entry(&entity.entity_type).or_default();
        *number += 1;
        let marker = format!("[{}_{number}]", entity.entity_type);
        replace(transcript, &entity.text, false, |said| {
            if mask {
                said.chars()
                    .map(|c| if c.is_whitespace() { c } else { '#' })
                    .collect()
            } else {
                marker.clone()
            }
        });
    }
    transcript.refresh();
}

/// Replaces a phrase everywhere; its words become one, and punctuation around it stays.
fn replace(
    transcript: &mut Transcript,
    phrase: &str,
    ignore_case: bool,
    with: impl Fn(&str) -> String,
) {
    for utterance in &mut transcript.utterances {
        let words = std::mem::take(&mut utterance.words);
        let mut at = 0;
        while at < words.len() {
            let Some(count) = starts_with(&words[at..], phrase, ignore_case) else {
                utterance.words.push(words[at].clone());
                at += 1;
                continue;
            };
            let found = &words[at..at + count];
            let said: String = found.iter().map(|word| word.word.as_str()).collect();
            let inner = bare(&said);
            let (before, after) = said.split_once(inner).unwrap_or(("", ""));
            utterance.words.push(Word {
                word: format!("{before}{}{after}", with(inner)),
                start: found[0].start,
                end: found[count - 1].end,
                confidence: found[0].confidence,
            });
            at += count;
        }
    }
}
