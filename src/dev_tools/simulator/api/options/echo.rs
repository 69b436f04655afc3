//! `request_params`: every flag with its default, and the configuration of what is switched on.

use serde_json::{Map, Value, json};

use crate::domain::gladia_rules::{ECHOED_FLAGS, FLAGS};

/// The options as Gladia echoes them. Metadata is shown elsewhere, and not here.
pub(in super::super) fn echo(body: &Map<String, Value>) -> Value {
    let mut params = Map::new();
    for flag in FLAGS.iter().chain(ECHOED_FLAGS) {
        // Callbacks appear in the echo only when they are asked for.
        if *flag != "callback" {
            params.insert((*flag).to_owned(), false.into());
        }
    }
    params.insert("model".to_owned(), "solaria-1".into());
    params.insert("detect_language".to_owned(), true.into());
    for (name, value) in body {
        let config_of = name.strip_suffix("_config");
        let off = config_of.is_some_and(|flag| {
            FLAGS.contains(&flag) && body.get(flag).and_then(Value::as_bool) != Some(true)
        });
        if name != "custom_metadata" && !value.is_null() && !off {
            params.insert(name.clone(), value.clone());
        }
    }
    fill(
        &mut params,
        "language_config",
        &json!({"languages": [], "code_switching": false}),
    );
    for (flag, defaults) in [
        ("callback", json!({"method": "POST"})),
        ("subtitles", json!({"formats": ["srt"], "style": "default"})),
        (
            "translation",
            json!({
                "target_languages": [],
                "model": "base",
                "match_original_utterances": true,
                "lipsync": true,
                "context_adaptation": true,
                "context": "",
                "informal": false,
            }),
        ),
        ("summarization", json!({"type": "general"})),
        (
            "audio_to_llm",
            json!({"prompts": [], "model": "openai/gpt-5.4-nano"}),
        ),
        ("pii_redaction", json!({"processed_text_type": "MARKER"})),
    ] {
        if params.get(flag).and_then(Value::as_bool) == Some(true) {
            fill(&mut params, &format!("{flag}_config"), &defaults);
        }
    }
    // Gladia's own SDK cannot read a configuration that lacks what is required of it, and no address can be made up.
    if params
        .get("callback_config")
        .is_some_and(|config| config["url"].is_null())
    {
        params.remove("callback_config");
    }
    Value::Object(params)
}

fn fill(params: &mut Map<String, Value>, name: &str, defaults: &Value) {
    let config = params
        .entry(name)
        .or_insert_with(|| Value::Object(Map::new()));
    if let (Value::Object(config), Value::Object(defaults)) = (config, defaults) {
        for (name, value) in defaults {
            let given = config.get(name).is_some_and(|value| !value.is_null());
            if !given {
                config.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_create_is_echoed_with_every_default() {
        let body = json!({"audio_url": "https://a.example/b", "custom_metadata": {"a": 1}});
        let expected = json!({
            "audio_url": "https://a.example/b", "model": "solaria-1", "sentences": false, "subtitles": false,
            "moderation": false, "diarization": false, "translation": false, "audio_to_llm": false,
            "display_mode": false, "pii_redaction": false, "summarization": false, "audio_enhancer": false,
            "chapterization": false, "custom_spelling": false, "detect_language": true,
            "language_config": {"languages": [], "code_switching": false}, "name_consistency": false,
            "sentiment_analysis": false, "diarization_enhanced": false, "punctuation_enhanced": false,
            "enable_code_switching": false, "named_entity_recognition": false, "accurate_words_timestamps": false,
            "skip_channel_deduplication": false, "structured_data_extraction": false,
        });
        assert_eq!(echo(body.as_object().unwrap()), expected);
    }

    #[test]
    fn a_configuration_is_filled_when_its_feature_is_on_and_dropped_when_it_is_off() {
        let body = json!({
            "audio_url": "https://a.example/b",
            "translation": true, "translation_config": {"target_languages": ["fr"], "informal": true},
            "summarization": true,
            "subtitles_config": {"formats": ["vtt"]},
        });
        let echoed = echo(body.as_object().unwrap());
        assert_eq!(echoed["translation_config"]["model"], "base");
        assert_eq!(echoed["translation_config"]["informal"], true);
        assert_eq!(echoed["summarization_config"], json!({"type": "general"}));
        assert_eq!(echoed.get("subtitles_config"), None);
    }

    #[test]
    fn no_configuration_lacks_what_the_sdk_reads_of_it() {
        let body = json!({
            "audio_url": "https://a.example/b", "translation": true, "callback": true,
            "audio_to_llm": true, "audio_to_llm_config": {"prompts": null},
        });
        let echoed = echo(body.as_object().unwrap());
        assert_eq!(echoed["translation_config"]["target_languages"], json!([]));
        assert_eq!(echoed["audio_to_llm_config"]["prompts"], json!([]));
        assert_eq!(echoed["callback"], true);
        assert_eq!(echoed.get("callback_config"), None);
    }
}
