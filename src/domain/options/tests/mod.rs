//! What the options promise, seen from outside: a request body goes in, options or violations come out.

mod bodies;
mod callback;
mod metadata;
mod names;
mod random;
mod rules;
mod schemas;
mod together;
mod warnings;

use serde_json::{Map, Value, json};

use super::{OptionsPolicy, TranscriptionOptions, Violation, Warning};

/// The object that `value` is.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("not an object: {other}"),
    }
}

fn parse(body: Value) -> Result<TranscriptionOptions, Vec<Violation>> {
    let own = ["audio_url", "priority"];
    TranscriptionOptions::parse(object(body), &own, OptionsPolicy::default())
        .map(|checked| checked.options)
}

/// The warnings of a request that must be accepted.
fn warnings_of(body: Value, policy: OptionsPolicy) -> Vec<Warning> {
    match TranscriptionOptions::parse(object(body), &[], policy) {
        Ok(checked) => checked.warnings,
        Err(violations) => panic!("refused: {violations:#?}"),
    }
}

/// The upstream body of a request that must be accepted.
fn upstream(body: Value) -> Value {
    let options = parse(body).unwrap_or_else(|violations| panic!("refused: {violations:#?}"));
    Value::Object(options.to_upstream())
}

/// The violations of a request that must be refused.
fn refused(body: Value) -> Vec<Violation> {
    match parse(body) {
        Err(violations) => violations,
        Ok(options) => panic!("accepted as {options:?}"),
    }
}

/// The one violation of a request that must be refused.
fn one_violation(body: Value) -> Violation {
    let mut violations = refused(body);
    assert_eq!(violations.len(), 1, "{violations:#?}");
    violations.remove(0)
}

/// A body with every option and every field.
fn everything() -> Value {
    json!({
        "model": "solaria-fusion",
        "language_config": { "languages": ["en", "haw", "jw"], "code_switching": true },
        "custom_vocabulary": true,
        "custom_vocabulary_config": {
            "vocabulary": [
                "Westeros",
                { "value": "Stark" },
                {
                    "value": "Night's Watch",
                    "pronunciations": ["Nightz Watch"],
                    "intensity": 0.4,
                    "language": "en"
                }
            ],
            "default_intensity": 1
        },
        "custom_spelling": true,
        "custom_spelling_config": { "spelling_dictionary": { "SQL": ["Sequel"], "a/b~c": [] } },
        "callback": true,
        "callback_config": { "url": "https://caller.example/told?key=1", "method": "PUT" },
        "callback_url": "https://caller.example/told?key=1",
        "subtitles": true,
        "subtitles_config": {
            "formats": ["srt", "vtt"],
            "minimum_duration": 0,
            "maximum_duration": 4.5,
            "maximum_characters_per_row": 42,
            "maximum_rows_per_caption": 2,
            "style": "compliance"
        },
        "diarization": true,
        "diarization_config": { "number_of_speakers": 3, "min_speakers": 1, "max_speakers": 4 },
        "translation": true,
        "translation_config": {
            "target_languages": ["fr", "wo"],
            "model": "enhanced",
            "match_original_utterances": false,
            "lipsync": false,
            "context_adaptation": true,
            "context": "A board meeting",
            "informal": true
        },
        "summarization": true,
        "summarization_config": { "type": "bullet_points" },
        "named_entity_recognition": true,
        "sentiment_analysis": false,
        "audio_to_llm": true,
        "audio_to_llm_config": { "prompts": ["List the decisions."], "model": "openai/gpt-5.4-nano" },
        "pii_redaction": true,
        "pii_redaction_config": { "entity_types": ["GDPR", "NAME"], "processed_text_type": "MASK" },
        "sentences": true,
        "punctuation_enhanced": true,
        "custom_metadata": { "call": 17, "team": { "name": "Ärzte", "tags": [null, 1.5] } },
        "chapterization": true,
        "code_switching_config": { "languages": ["en", "fr"] },
        "context_prompt": "A board meeting",
        "detect_language": true,
        "display_mode": false,
        "enable_code_switching": true,
        "language": "en",
        "moderation": true,
        "name_consistency": false,
        "structured_data_extraction": true,
        "structured_data_extraction_config": { "classes": ["Persons"] }
    })
}
