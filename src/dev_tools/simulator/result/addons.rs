//! The envelope of every add-on, and the smaller add-ons in it.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Source, phrases, transcript::Transcript};

/// What an add-on answers. A failed one leaves the job done.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Addon {
    success: bool,
    is_empty: bool,
    results: Option<Value>,
    exec_time: f64,
    error: Option<Value>,
}

impl Addon {
    /// A success with a list in it.
    pub(super) fn list(results: Vec<Value>) -> Self {
        Self {
            is_empty: results.is_empty(),
            ..Self::success(Value::Array(results))
        }
    }

    fn success(results: Value) -> Self {
        Self {
            success: true,
            is_empty: false,
            results: Some(results),
            exec_time: 0.21,
            error: None,
        }
    }

    /// The failure that the script has for this add-on, if it has one.
    pub(super) fn failing(source: &Source<'_>, addon: &str) -> Option<Self> {
        let error = source.entry?.failed_addons.get(addon)?;
        Some(Self {
            success: false,
            is_empty: false,
            results: None,
            exec_time: 12.04,
            error: Some(error.clone()),
        })
    }
}

/// `summarization`: the script's summary of that type, or one that says that it is simulated.
pub(super) fn summary(source: &Source<'_>, transcript: &Transcript) -> Addon {
    let kind = source.options["summarization_config"]["type"]
        .as_str()
        .unwrap_or("general");
    let scripted = source.entry.and_then(|entry| entry.summaries.get(kind));
    let text = scripted.cloned().unwrap_or_else(|| {
        format!(
            "Simulated {kind} summary of {} utterances in {:.1} s of audio.",
            transcript.utterances.len(),
            source.media.duration
        )
    });
    Addon::success(Value::String(text))
}

/// `sentiment_analysis`: one sentiment for each utterance.
pub(super) fn sentiments(source: &Source<'_>, transcript: &Transcript) -> Addon {
    let utterances = transcript.utterances.iter().enumerate();
    let sentiments = utterances.map(|(index, utterance)| {
        let line = source.line(index);
        let mut sentiment = json!({
            "text": utterance.text,
            "sentiment": line.and_then(|line| line.sentiment.as_deref()).unwrap_or("neutral"),
            "emotion": line.and_then(|line| line.emotion.as_deref()).unwrap_or("neutral"),
            "start": utterance.start,
            "end": utterance.end,
            "channel": utterance.channel,
        });
        if let Some(speaker) = utterance.speaker {
            sentiment["speaker"] = speaker.into();
        }
        sentiment
    });
    Addon::list(sentiments.collect())
}

/// `named_entity_recognition`: the script's entities wherever they are said, the longer ones first.
pub(super) fn entities(source: &Source<'_>, transcript: &Transcript) -> Vec<Value> {
    let mut known: Vec<_> = source
        .entry
        .map(|entry| entry.entities.iter().collect())
        .unwrap_or_default();
    known.sort_by_key(|entity| std::cmp::Reverse(entity.text.len()));
    let mut found = Vec::new();
    for utterance in &transcript.utterances {
        let words = &utterance.words;
        let mut at = 0;
        while at < words.len() {
            let hit = known.iter().find_map(|entity| {
                let count = phrases::starts_with(&words[at..], &entity.text, false)?;
                Some((*entity, count))
            });
            let Some((entity, count)) = hit else {
                at += 1;
                continue;
            };
            found.push(json!({
                "entity_type": entity.entity_type,
                "text": entity.text,
                "start": words[at].start,
                "end": words[at + count - 1].end,
            }));
            at += count;
        }
    }
    found
}

/// `audio_to_llm`: an envelope for each prompt.
pub(super) fn answers(source: &Source<'_>) -> Addon {
    let prompts = source.options["audio_to_llm_config"]["prompts"].as_array();
    let answers = prompts
        .into_iter()
        .flatten()
        .filter_map(|prompt| prompt.as_str())
        .map(|prompt| {
            let scripted = source.entry.and_then(|entry| entry.answers.get(prompt));
            let response = scripted
                .cloned()
                .unwrap_or_else(|| format!("Simulated answer to: {prompt}"));
            super::json(Addon::success(
                json!({"prompt": prompt, "response": response}),
            ))
        });
    Addon::list(answers.collect())
}
