//! `request_params`: what a job was asked for, as Gladia shows it. Every flag stands there with its default, and every
//! configuration of what is switched on is filled with its own.
//!
//! It is made from what the caller asked of the gateway. What the gateway asks of Gladia in turn, its own callback and its
//! mark in the metadata, is in none of it; nor is anything that has another [shape](super::shapes) than Gladia shows, which
//! counts as not given.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, json};

use super::shapes::take_out_misshapen;
use crate::{
    db::jobs::Job,
    domain::{gladia_rules::FLAGS, options::RESERVED_METADATA_KEY, plain_json},
};

/// The flags and their like that are always there, in Gladia's order, with their defaults.
const ALWAYS: [(&str, Initial); 24] = [
    ("model", Initial::Text("solaria-1")),
    ("sentences", Initial::Off),
    ("subtitles", Initial::Off),
    ("moderation", Initial::Off),
    ("diarization", Initial::Off),
    ("translation", Initial::Off),
    ("audio_to_llm", Initial::Off),
    ("display_mode", Initial::Off),
    ("pii_redaction", Initial::Off),
    ("summarization", Initial::Off),
    ("audio_enhancer", Initial::Off),
    ("chapterization", Initial::Off),
    ("custom_spelling", Initial::Off),
    ("detect_language", Initial::On),
    ("language_config", Initial::Languages),
    ("name_consistency", Initial::Off),
    ("sentiment_analysis", Initial::Off),
    ("diarization_enhanced", Initial::Off),
    ("punctuation_enhanced", Initial::Off),
    ("enable_code_switching", Initial::Off),
    ("named_entity_recognition", Initial::Off),
    ("accurate_words_timestamps", Initial::Off),
    ("skip_channel_deduplication", Initial::Off),
    ("structured_data_extraction", Initial::Off),
];

/// What follows on them where it was asked for, in Gladia's order. Others come last.
const FOLLOWING: [&str; 6] = [
    "callback",
    "callback_config",
    "subtitles_config",
    "diarization_config",
    "translation_config",
    "summarization_config",
];

/// Features with a configuration. It is shown only where the feature is on.
const CONFIGURED: [&str; 10] = [
    "audio_to_llm",
    "callback",
    "custom_spelling",
    "custom_vocabulary",
    "diarization",
    "pii_redaction",
    "structured_data_extraction",
    "subtitles",
    "summarization",
    "translation",
];

#[derive(Clone, Copy)]
enum Initial {
    Off,
    On,
    Text(&'static str),
    Languages,
}

impl Initial {
    fn value(self) -> Value {
        match self {
            Self::Off => false.into(),
            Self::On => true.into(),
            Self::Text(text) => text.into(),
            Self::Languages => json!({}),
        }
    }
}

/// What a job was asked for.
#[derive(Debug, PartialEq)]
pub struct RequestParams {
    audio_url: String,
    options: Map<String, Value>,
}

impl RequestParams {
    /// Reads them off a job, from which it takes what it shows; with the metadata, which Gladia shows elsewhere. `None` of
    /// a job that is erased. `file_url` is where the file is that was uploaded for it.
    pub fn take(job: &mut Job, file_url: Option<String>) -> (Option<Self>, Option<Value>) {
        let request = job.request.take();
        let request = request.and_then(|request| plain_json::from_str(request.get()).ok());
        let (Some(audio_url), Some(Value::Object(mut request))) =
            (file_url.or_else(|| job.audio_url.clone()), request)
        else {
            return (None, None);
        };
        let mut options = Map::new();
        for part in ["options", "extra_options"] {
            if let Some(Value::Object(given)) = request.remove(part) {
                options.extend(given);
            }
        }
        let mut metadata = options
            .remove("custom_metadata")
            .filter(|metadata| !metadata.is_null());
        if let Some(Value::Object(metadata)) = &mut metadata {
            metadata.remove(RESERVED_METADATA_KEY);
        }
        (Some(Self::of(audio_url, options)), metadata)
    }

    fn of(audio_url: String, mut options: Map<String, Value>) -> Self {
        options.remove("audio_url");
        options.retain(|_, value| !value.is_null());
        take_out_misshapen(&mut options, is_flag);
        for (name, default) in ALWAYS {
            options.entry(name).or_insert_with(|| default.value());
        }
        for feature in CONFIGURED {
            let config = format!("{feature}_config");
            if is_on(options.get(feature)) {
                fill(&mut options, &config, defaults(feature));
            } else {
                options.remove(&config);
            }
        }
        let callback = options.get("callback_config");
        if callback.is_some_and(|config| config["url"].is_null()) {
            options.remove("callback_config");
        }
        fill(
            &mut options,
            "language_config",
            json!({ "languages": [], "code_switching": false }),
        );
        Self { audio_url, options }
    }
}

fn is_flag(name: &str) -> bool {
    let is_shown_as_one = |(known, initial): &(&str, Initial)| {
        *known == name && matches!(initial, Initial::Off | Initial::On)
    };
    FLAGS.contains(&name) || ALWAYS.iter().any(is_shown_as_one)
}

/// An array of words switches the vocabulary on, too.
fn is_on(flag: Option<&Value>) -> bool {
    !matches!(flag, None | Some(Value::Bool(false)))
}

/// What Gladia adds to the configuration of a feature that is on. What it requires is there already: it refuses a request
/// without, and whoever reads this relies on it.
fn defaults(feature: &str) -> Value {
    match feature {
        "audio_to_llm" => json!({ "prompts": [], "model": "openai/gpt-5.4-nano" }),
        "callback" => json!({ "method": "POST" }),
        "custom_vocabulary" => json!({ "default_intensity": 0.5 }),
        "pii_redaction" => json!({ "processed_text_type": "MARKER" }),
        "subtitles" => json!({ "formats": ["srt"], "style": "default" }),
        "summarization" => json!({ "type": "general" }),
        "translation" => json!({
            "target_languages": [],
            "model": "base",
            "match_original_utterances": true,
            "lipsync": true,
            "context_adaptation": true,
            "context": "",
            "informal": false,
        }),
        _ => json!({}),
    }
}

/// Adds what a configuration does not say. One that nothing is known of is not made up.
fn fill(options: &mut Map<String, Value>, name: &str, defaults: Value) {
    let Value::Object(defaults) = defaults else {
        return;
    };
    let needs_more = ["callback_config", "custom_vocabulary_config"].contains(&name);
    if !options.contains_key(name) && (needs_more || defaults.is_empty()) {
        return;
    }
    let config = options.entry(name).or_insert_with(|| json!({}));
    if let Value::Object(config) = config {
        for (name, default) in defaults {
            let given = config.entry(name).or_insert(Value::Null);
            if given.is_null() {
                *given = default;
            }
        }
    }
}

impl Serialize for RequestParams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let first = || ALWAYS.iter().map(|(name, _)| *name).chain(FOLLOWING);
        let mut map = serializer.serialize_map(Some(self.options.len() + 1))?;
        map.serialize_entry("audio_url", &self.audio_url)?;
        for name in first() {
            if let Some(value) = self.options.get(name) {
                map.serialize_entry(name, value)?;
            }
        }
        for (name, value) in &self.options {
            if !first().any(|known| known == name) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(options: Value) -> Value {
        let Value::Object(options) = options else {
            panic!("no options")
        };
        let params = RequestParams::of("https://a.example/b.mp3".to_owned(), options);
        serde_json::to_value(params).unwrap()
    }

    /// `request_params` of a fixture.
    fn fixture(text: &str) -> Value {
        let mut job: Value = serde_json::from_str(text).unwrap();
        job["request_params"].take()
    }

    #[test]
    fn every_flag_stands_there_with_its_default_in_gladias_order() {
        let queued = include_str!("../../../../tests/fixtures/gladia/job-queued.json");
        let mut expected = fixture(queued);
        let params = RequestParams::of("https://a.example/b.mp3".to_owned(), Map::new());
        let text = serde_json::to_string(&params).unwrap();
        let parsed: Value = serde_json::from_str(&text).unwrap();
        expected["audio_url"] = "https://a.example/b.mp3".into();
        assert_eq!(parsed, expected);
        let places = ALWAYS
            .iter()
            .map(|(name, _)| queued.find(&format!("\"{name}\":")).unwrap());
        assert!(places.is_sorted());
        let written = ALWAYS
            .iter()
            .map(|(name, _)| text.find(&format!("\"{name}\":")).unwrap());
        assert!(written.is_sorted());
    }

    #[test]
    fn configurations_are_filled_where_their_feature_is_on() {
        let mut expected = fixture(include_str!("../../../../tests/fixtures/gladia/done.json"));
        let given = json!({
            "sentences": true, "named_entity_recognition": true, "sentiment_analysis": true, "chapterization": true,
            "callback": true, "callback_config": { "url": "https://hooks.example.net/gladia/7f3a" },
            "subtitles": true, "subtitles_config": { "formats": ["srt", "vtt"] },
            "diarization": true, "diarization_config": { "min_speakers": 1, "max_speakers": 4 },
            "translation": true, "translation_config": { "target_languages": ["fr"], "model": null },
            "summarization": true,
            "audio_to_llm": true,
            "audio_to_llm_config": { "prompts": ["List the action items.", "Which city is mentioned?"] },
        });
        expected["audio_url"] = "https://a.example/b.mp3".into();
        assert_eq!(shown(given), expected);
    }

    #[test]
    fn what_is_off_shows_no_configuration_and_what_is_new_is_shown_as_it_came() {
        let params = shown(json!({
            "translation": false, "translation_config": { "target_languages": ["fr"] },
            "callback": true,
            "custom_vocabulary": ["Gladia"], "custom_vocabulary_config": { "vocabulary": [] },
            "of_tomorrow": { "a": null }, "nothing": null, "model": "solaria-9",
        }));
        for absent in ["translation_config", "callback_config", "nothing"] {
            assert_eq!(params.get(absent), None, "{absent}");
        }
        assert_eq!(params["of_tomorrow"], json!({ "a": null }));
        assert_eq!(params["model"], "solaria-9");
        assert_eq!(params["custom_vocabulary_config"]["default_intensity"], 0.5);
    }
}
