//! Rules between options, and all violations together.

use serde_json::json;

use super::refused;
use super::rules::check;

#[test]
fn a_flag_that_needs_its_configuration_is_refused_without() {
    check([
        (
            json!({ "translation": true }),
            "/translation_config",
            "`translation` needs `translation_config` with `target_languages`: add it, or leave `translation` out.",
        ),
        (
            json!({ "audio_to_llm": true, "audio_to_llm_config": null }),
            "/audio_to_llm_config",
            "`audio_to_llm` needs `audio_to_llm_config` with `prompts`: add it, or leave `audio_to_llm` out.",
        ),
        (
            json!({ "custom_spelling": true }),
            "/custom_spelling_config",
            "`custom_spelling` needs `custom_spelling_config` with `spelling_dictionary`: add it, or leave \
             `custom_spelling` out.",
        ),
    ]);
}

#[test]
fn everything_that_is_wrong_is_found_at_once() {
    let pointers: Vec<String> = refused(json!({
        "callback_url": "https://example.com",
        "custom_metadata": { "gladia_gateway_attempt": 1 },
        "diarization_config": { "min_speakers": 3, "max_speakers": 1, "number_of_speakers": 0 },
        "language_config": { "languages": ["xx", "en", 5] },
        "model": "whisper",
        "sentences": "yes",
        "translation": true
    }))
    .into_iter()
    .map(|violation| violation.pointer)
    .collect();
    assert_eq!(
        pointers,
        [
            "/callback_url",
            "/diarization_config/number_of_speakers",
            "/language_config/languages/0",
            "/language_config/languages/2",
            "/model",
            "/sentences",
            "/translation_config",
            "/diarization_config/min_speakers",
            "/custom_metadata/gladia_gateway_attempt",
        ]
    );
}
