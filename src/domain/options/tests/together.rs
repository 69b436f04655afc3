//! Rules between options, and all violations together.

use serde_json::json;

use super::rules::check;
use super::{one_violation, parse, refused, warnings_of};
use crate::domain::options::{OptionsPolicy, WarningCode};

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
        (
            json!({ "custom_vocabulary": true }),
            "/custom_vocabulary_config",
            "`custom_vocabulary` needs `custom_vocabulary_config` with `vocabulary`: add it, or leave \
             `custom_vocabulary` out.",
        ),
        (
            json!({ "structured_data_extraction": true }),
            "/structured_data_extraction_config",
            "`structured_data_extraction` needs `structured_data_extraction_config` with `classes`: add it, or leave \
             `structured_data_extraction` out.",
        ),
    ]);
}

#[test]
fn everything_that_is_wrong_is_found_at_once() {
    let pointers: Vec<String> = refused(json!({
        "callback_url": "example.com",
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
            "/diarization_config/number_of_speakers",
            "/language_config/languages/0",
            "/language_config/languages/2",
            "/model",
            "/sentences",
            "/translation_config",
            "/callback_url",
            "/custom_metadata/gladia_gateway_attempt",
        ]
    );
}

#[test]
fn code_switching_needs_languages_unless_the_operator_accepts_it() {
    for config in [
        json!({ "code_switching": true }),
        json!({ "code_switching": true, "languages": null }),
        json!({ "code_switching": true, "languages": [] }),
    ] {
        let body = json!({ "language_config": config });
        check([(
            body.clone(),
            "/language_config/languages",
            "`code_switching` needs `languages`: without, any language may be found at any utterance, which Gladia \
             warns of. Name the 3 to 5 that may be spoken, or leave `code_switching` out.",
        )]);
        let policy = OptionsPolicy {
            accepts_code_switching_without_languages: true,
        };
        let warnings = warnings_of(body, policy);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0].pointer, "/language_config/code_switching");
        assert_eq!(warnings[0].code, WarningCode::LikelyHarmful);
        assert!(warnings[0].message.contains("name the 3 to 5"));
    }
    // What stands where the languages belong is wrong in itself.
    let violation =
        one_violation(json!({ "language_config": { "code_switching": true, "languages": "en" } }));
    assert!(violation.rule.ends_with("found the string \"en\"."));
}

#[test]
fn solaria_3_has_five_languages_and_does_not_switch() {
    let body = |languages: serde_json::Value| json!({ "model": "solaria-3", "language_config": { "languages": languages } });
    for language in ["en", "fr", "de", "es", "it"] {
        parse(body(json!([language]))).unwrap();
    }
    let violation = one_violation(body(json!(["fr", "ja"])));
    assert_eq!(violation.pointer, "/language_config/languages/1");
    assert_eq!(
        violation.rule,
        "`solaria-3` transcribes `en`, `fr`, `de`, `es` and `it` only; found `ja`: use `solaria-1` for it."
    );
    assert_eq!(violation.allowed, Some(vec!["en", "fr", "de", "es", "it"]));
    // What is no language is said once.
    assert_eq!(
        one_violation(body(json!(["xx"])))
            .allowed
            .map(|all| all.len()),
        Some(99)
    );
    check([(
        json!({
            "model": "solaria-3",
            "language_config": { "languages": ["en", "fr"], "code_switching": true }
        }),
        "/language_config/code_switching",
        "`solaria-3` does not switch between languages: leave `code_switching` out, or use `solaria-1`.",
    )]);
}

#[test]
fn what_solaria_3_cannot_do_is_refused_in_the_discontinued_spelling_too() {
    let of_languages = "`solaria-3` transcribes `en`, `fr`, `de`, `es` and `it` only; found `ja`: use `solaria-1` for it.";
    let spoken = json!({ "languages": ["en"] });
    check([
        (
            json!({ "model": "solaria-3", "language": "ja" }),
            "/language",
            of_languages,
        ),
        (
            json!({ "model": "solaria-3", "code_switching_config": { "languages": ["en", "ja"] } }),
            "/code_switching_config/languages/1",
            of_languages,
        ),
        (
            json!({ "model": "solaria-3", "enable_code_switching": true, "language_config": spoken }),
            "/enable_code_switching",
            "`solaria-3` does not switch between languages: leave `enable_code_switching` out, or use `solaria-1`.",
        ),
    ]);
    for body in [
        json!({ "model": "solaria-3", "language": "fr" }),
        json!({ "model": "solaria-3", "language": null, "enable_code_switching": false }),
        json!({
            "model": "solaria-3", "enable_code_switching": false, "code_switching_config": { "languages": ["ja"] }
        }),
        json!({ "model": "solaria-1", "language": "ja", "code_switching_config": { "languages": ["ja"] } }),
    ] {
        parse(body).unwrap();
    }
}

#[test]
fn a_violation_lists_the_values_that_are_allowed() {
    let styles = Some(vec!["default", "compliance"]);
    for wrong in [json!("fancy"), json!(3)] {
        let violation = one_violation(json!({ "subtitles_config": { "style": wrong } }));
        assert_eq!(violation.allowed, styles);
    }
    let violation = one_violation(json!({ "translation_config": { "target_languages": ["tlh"] } }));
    let allowed = violation.allowed.unwrap();
    assert_eq!((allowed.len(), allowed[0], allowed[99]), (100, "af", "wo"));
    let violation = one_violation(json!({ "pii_redaction_config": { "entity_types": [1] } }));
    assert_eq!(violation.allowed.unwrap().len(), 82);
    for without in [
        json!({ "sentences": 1 }),
        json!({ "subtitles_config": { "maximum_rows_per_caption": 9 } }),
        json!({ "sentence": true }),
        json!({ "translation": true }),
    ] {
        assert_eq!(one_violation(without).allowed, None);
    }
}
