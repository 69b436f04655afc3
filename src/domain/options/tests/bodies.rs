//! Requests that are accepted, and the upstream bodies that they become.

use serde_json::{Value, json};

use super::{everything, parse, refused, upstream};
use crate::domain::options::{TranscriptionOptions, check_extra};

#[test]
fn every_option_goes_out_as_it_was_asked() {
    assert_eq!(upstream(everything()), everything());
}

#[test]
fn what_was_not_asked_does_not_go_out() {
    assert_eq!(upstream(json!({})), json!({}));
    assert_eq!(
        upstream(json!({ "sentences": true })),
        json!({ "sentences": true })
    );
}

#[test]
fn options_survive_being_stored() {
    let options = parse(everything()).unwrap();
    let stored = serde_json::to_string(&options).unwrap();
    let read: TranscriptionOptions = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, options);
}

#[test]
fn whole_numbers_stay_whole_and_others_stay_as_written() {
    let body = upstream(json!({
        "subtitles": true,
        "subtitles_config": {
            "minimum_duration": 1,
            "maximum_duration": 2.5,
            "maximum_characters_per_row": 40.0
        }
    }));
    assert_eq!(
        body.to_string(),
        r#"{"subtitles":true,"subtitles_config":{"maximum_characters_per_row":40,"maximum_duration":2.5,"minimum_duration":1}}"#
    );
}

#[test]
fn null_is_the_same_as_not_given() {
    let names = crate::domain::options::known_names();
    let nulls: Value = names
        .iter()
        .map(|name| ((*name).to_owned(), Value::Null))
        .collect();
    assert_eq!(upstream(nulls), json!({}));
    assert_eq!(
        upstream(json!({
            "language_config": { "languages": null, "code_switching": null },
            "translation_config": { "target_languages": ["fr"], "model": null },
            "custom_vocabulary_config": { "vocabulary": [{ "value": "Gladia", "intensity": null }] }
        })),
        json!({
            "language_config": {},
            "translation": true,
            "translation_config": { "target_languages": ["fr"] },
            "custom_vocabulary": true,
            "custom_vocabulary_config": { "vocabulary": [{ "value": "Gladia" }] }
        })
    );
}

#[test]
fn a_null_where_a_value_is_required_is_refused() {
    let violations = refused(json!({ "translation_config": { "target_languages": null } }));
    assert_eq!(
        violations[0].pointer,
        "/translation_config/target_languages"
    );
    assert_eq!(
        violations[0].rule,
        "`target_languages` must be an array; found null."
    );
}

#[test]
fn a_vocabulary_may_be_given_in_the_older_form() {
    for form in [json!(false), json!([]), json!(["Gladia", "Solaria"])] {
        let body = json!({ "custom_vocabulary": form });
        assert_eq!(upstream(body.clone()), body);
    }
}

#[test]
fn a_configuration_switches_its_option_on() {
    let configs = [
        ("custom_vocabulary", json!({ "vocabulary": ["Gladia"] })),
        ("custom_spelling", json!({ "spelling_dictionary": {} })),
        ("subtitles", json!({})),
        ("diarization", json!({ "max_speakers": 2 })),
        ("translation", json!({ "target_languages": ["fr"] })),
        ("summarization", json!({ "type": "concise" })),
        ("audio_to_llm", json!({ "prompts": ["What was decided?"] })),
        ("pii_redaction", json!({ "entity_types": ["GDPR"] })),
    ];
    for (flag, config) in configs {
        let name = format!("{flag}_config");
        let on = json!({ flag: true, name.as_str(): config });
        assert_eq!(upstream(json!({ name.as_str(): config })), on);
        assert_eq!(upstream(json!({ flag: null, name.as_str(): config })), on);

        let off = json!({ flag: false, name.as_str(): config });
        assert_eq!(upstream(off.clone()), off);
    }
}

#[test]
fn what_gladia_echoes_of_a_job_can_be_asked_again() {
    // The request parameters of a finished job, as Gladia echoes them, without those that it describes nowhere.
    let echoed = json!({
        "model": "solaria-1",
        "sentences": true,
        "subtitles": true,
        "diarization": true,
        "translation": true,
        "audio_to_llm": true,
        "pii_redaction": false,
        "summarization": true,
        "custom_spelling": false,
        "language_config": { "languages": [], "code_switching": false },
        "moderation": false,
        "display_mode": false,
        "chapterization": false,
        "detect_language": true,
        "name_consistency": false,
        "enable_code_switching": false,
        "structured_data_extraction": false,
        "sentiment_analysis": true,
        "punctuation_enhanced": false,
        "named_entity_recognition": true,
        "subtitles_config": { "formats": ["srt", "vtt"], "style": "default" },
        "diarization_config": { "min_speakers": 1, "max_speakers": 4 },
        "translation_config": {
            "target_languages": ["fr"],
            "model": "base",
            "match_original_utterances": true,
            "lipsync": true,
            "context_adaptation": true,
            "context": "",
            "informal": false
        },
        "summarization_config": { "type": "general" },
        "audio_to_llm_config": {
            "prompts": ["List the action items.", "Which city is mentioned?"],
            "model": "openai/gpt-5.4-nano"
        }
    });
    assert_eq!(upstream(echoed.clone()), echoed);
}

#[test]
fn extra_options_cannot_set_what_the_gateway_sets() {
    let extra = super::object(json!({
        "audio_url": "https://example.com/a.mp3",
        "callback": true,
        "callback_config": { "url": "https://example.com" },
        "callback_url": "https://example.com",
        "custom_metadata": {},
        "newest": true
    }));
    let violations = check_extra(&extra);
    let pointers: Vec<&str> = violations
        .iter()
        .map(|violation| violation.pointer.as_str())
        .collect();
    assert_eq!(
        pointers,
        [
            "/extra_options/audio_url",
            "/extra_options/callback",
            "/extra_options/callback_config",
            "/extra_options/callback_url",
            "/extra_options/custom_metadata"
        ]
    );
}
