//! Names that are not options, and what their refusal suggests.

use serde_json::json;

use super::{object, one_violation, refused};
use crate::domain::options::{OptionsPolicy, TranscriptionOptions, known_names};

#[test]
fn every_option_is_known() {
    assert_eq!(
        known_names(),
        [
            "audio_to_llm",
            "audio_to_llm_config",
            "callback",
            "callback_config",
            "callback_url",
            "chapterization",
            "code_switching_config",
            "context_prompt",
            "custom_metadata",
            "custom_spelling",
            "custom_spelling_config",
            "custom_vocabulary",
            "custom_vocabulary_config",
            "detect_language",
            "diarization",
            "diarization_config",
            "display_mode",
            "enable_code_switching",
            "language",
            "language_config",
            "model",
            "moderation",
            "name_consistency",
            "named_entity_recognition",
            "pii_redaction",
            "pii_redaction_config",
            "punctuation_enhanced",
            "sentences",
            "sentiment_analysis",
            "structured_data_extraction",
            "structured_data_extraction_config",
            "subtitles",
            "subtitles_config",
            "summarization",
            "summarization_config",
            "translation",
            "translation_config",
        ]
    );
}

#[test]
fn a_misspelt_name_of_the_gateways_own_is_no_option_to_be_sent_past_it() {
    for (wrong, right) in [("prioritty", "priority"), ("audioUrl", "audio_url")] {
        let violation = one_violation(json!({ wrong: true }));
        assert_eq!(
            violation.rule,
            format!("`{wrong}` is not known; did you mean `{right}`?")
        );
    }
}

#[test]
fn a_misspelt_option_is_refused_with_the_nearest_name() {
    let cases = [
        ("diarisation", "diarization"),
        ("summarisation", "summarization"),
        ("subtitle", "subtitles"),
        ("languageConfig", "language_config"),
        ("custom-vocabulary", "custom_vocabulary"),
        ("pii_redactions", "pii_redaction"),
    ];
    for (wrong, right) in cases {
        let violation = one_violation(json!({ wrong: true }));
        assert_eq!(violation.pointer, format!("/{wrong}"));
        assert_eq!(
            violation.rule,
            format!(
                "`{wrong}` is not a known option; did you mean `{right}`? To send it to Gladia unchecked all the \
                 same, put it into `extra_options`."
            )
        );
    }
}

#[test]
fn a_field_outside_its_option_is_sent_home() {
    let rule = one_violation(json!({ "target_languages": ["fr"] })).rule;
    assert!(rule.contains("did you mean `target_languages` inside `translation_config`?"));
    let rule = one_violation(json!({ "languages": ["fr"] })).rule;
    assert!(rule.contains("did you mean `languages` inside `language_config`?"));
}

#[test]
fn a_name_that_resembles_nothing_gets_no_suggestion() {
    assert_eq!(
        one_violation(json!({ "zoom_level": 1 })).rule,
        "`zoom_level` is not a known option. To send it to Gladia unchecked all the same, put it into `extra_options`."
    );
}

#[test]
fn the_gateways_own_names_are_suggested_only_where_they_exist() {
    let body = object(json!({ "prioritty": 1 }));
    let violations = TranscriptionOptions::parse(body, &[], OptionsPolicy::default()).unwrap_err();
    assert!(!violations[0].rule.contains("did you mean"));
}

#[test]
fn a_misspelt_field_is_refused_with_the_nearest_name_or_all_of_them() {
    let violation = one_violation(json!({ "diarization_config": { "num_of_speakers": 2 } }));
    assert_eq!(violation.pointer, "/diarization_config/num_of_speakers");
    assert_eq!(
        violation.rule,
        "`num_of_speakers` is not a known field of `diarization_config`; did you mean `number_of_speakers`? To send \
         it to Gladia unchecked all the same, put the whole option into `extra_options`."
    );

    let violation = one_violation(json!({ "language_config": { "accent": "soft" } }));
    assert!(
        violation
            .rule
            .contains("it has `code_switching`, `languages`.")
    );

    let violation = one_violation(
        json!({ "custom_vocabulary_config": { "vocabulary": ["a", { "value": "b", "weight": 1 }] } }),
    );
    assert_eq!(
        violation.pointer,
        "/custom_vocabulary_config/vocabulary/1/weight"
    );
    assert!(violation.rule.contains("field of `vocabulary[1]`"));
}

#[test]
fn live_options_are_refused_as_such() {
    for name in [
        "encoding",
        "bit_depth",
        "sample_rate",
        "channels",
        "endpointing",
        "maximum_duration_without_endpointing",
        "pre_processing",
        "realtime_processing",
        "post_processing",
        "messages_config",
        "region",
    ] {
        let violation = one_violation(json!({ name: 1 }));
        assert_eq!(violation.pointer, format!("/{name}"));
        assert!(
            violation.rule.contains("belongs to Gladia's live API"),
            "{}",
            violation.rule
        );
    }
}

#[test]
fn names_that_gladia_only_shows_are_refused_as_such() {
    let violation = one_violation(json!({ "audio_enhancer": true }));
    assert_eq!(
        violation.rule,
        "Gladia shows `audio_enhancer` among a job's parameters and describes it nowhere. To send it to Gladia \
         unchecked all the same, put it into `extra_options`."
    );
}

#[test]
fn pointers_are_escaped() {
    let pointers: Vec<String> = refused(json!({
        "a/b": 1,
        "c~d": 1,
        "custom_spelling_config": { "spelling_dictionary": { "and/or~": "x" } }
    }))
    .into_iter()
    .map(|violation| violation.pointer)
    .collect();
    assert_eq!(
        pointers,
        [
            "/a~1b",
            "/custom_spelling_config/spelling_dictionary/and~1or~0",
            "/c~0d"
        ]
    );
}
