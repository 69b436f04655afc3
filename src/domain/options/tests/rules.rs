//! Every option's wrong values: where the violation points, and what it says.

use serde_json::{Value, json};

use super::one_violation;

/// A body, the pointer and the rule of its only violation.
pub(super) type Case = (Value, &'static str, &'static str);

pub(super) fn check(cases: impl IntoIterator<Item = Case>) {
    for (body, pointer, rule) in cases {
        let violation = one_violation(body);
        assert_eq!(
            (violation.pointer.as_str(), violation.rule.as_str()),
            (pointer, rule)
        );
    }
}

#[test]
fn flags_are_true_or_false() {
    for flag in [
        "audio_to_llm",
        "custom_spelling",
        "diarization",
        "named_entity_recognition",
        "pii_redaction",
        "punctuation_enhanced",
        "sentences",
        "sentiment_analysis",
        "subtitles",
        "summarization",
        "translation",
    ] {
        for (wrong, found) in [
            (json!("true"), "the string \"true\""),
            (json!(1), "the number 1"),
            (json!({}), "an object"),
            (json!([]), "an empty array"),
        ] {
            let violation = one_violation(json!({ flag: wrong }));
            assert_eq!(violation.pointer, format!("/{flag}"));
            assert_eq!(
                violation.rule,
                format!("`{flag}` must be true or false; found {found}.")
            );
        }
    }
}

#[test]
fn configurations_are_objects() {
    for config in [
        "audio_to_llm_config",
        "custom_spelling_config",
        "custom_vocabulary_config",
        "diarization_config",
        "language_config",
        "pii_redaction_config",
        "subtitles_config",
        "summarization_config",
        "translation_config",
    ] {
        let violation = one_violation(json!({ config: true }));
        assert_eq!(
            violation.rule,
            format!("`{config}` must be an object; found `true`.")
        );
    }
}

#[test]
fn models_are_gladias() {
    check([
        (
            json!({ "model": "default" }),
            "/model",
            "`model` must be one of `solaria-1`, `solaria-3`, `solaria-fusion`; found the string \"default\".",
        ),
        (
            json!({ "model": "Solaria_3" }),
            "/model",
            "`model` must be one of `solaria-1`, `solaria-3`, `solaria-fusion`; found the string \"Solaria_3\". Did \
             you mean `solaria-3`?",
        ),
        (
            json!({ "model": 3 }),
            "/model",
            "`model` must be a string; found the number 3.",
        ),
    ]);
}

#[test]
fn languages_are_gladias_codes() {
    for (wrong, right) in [
        ("EN", "en"),
        ("en-US", "en"),
        ("pt_BR", "pt"),
        ("French", "fr"),
        ("german", "de"),
        ("jv", "jw"),
    ] {
        let violation = one_violation(json!({ "language_config": { "languages": ["es", wrong] } }));
        assert_eq!(violation.pointer, "/language_config/languages/1");
        assert_eq!(
            violation.rule,
            format!(
                "`languages[1]` must be one of Gladia's 99 values for it; found the string \"{wrong}\". Did you mean \
                 `{right}`?"
            )
        );
    }
    check([
        (
            json!({ "language_config": { "languages": ["tlh"] } }),
            "/language_config/languages/0",
            "`languages[0]` must be one of Gladia's 99 values for it; found the string \"tlh\". `allowed` lists them.",
        ),
        (
            json!({ "language_config": { "languages": ["wo"] } }),
            "/language_config/languages/0",
            "`languages[0]` must be one of Gladia's 99 values for it; found the string \"wo\". `allowed` lists them.",
        ),
        (
            json!({ "language_config": { "languages": "en" } }),
            "/language_config/languages",
            "`languages` must be an array; found the string \"en\".",
        ),
        (
            json!({ "language_config": { "code_switching": "yes" } }),
            "/language_config/code_switching",
            "`code_switching` must be true or false; found the string \"yes\".",
        ),
    ]);
}

#[test]
fn vocabularies_are_words_with_intensities_from_0_to_1() {
    let in_config = |entry: Value| json!({ "custom_vocabulary_config": { "vocabulary": [entry] } });
    check([
        (
            json!({ "custom_vocabulary": "Gladia" }),
            "/custom_vocabulary",
            "`custom_vocabulary` must be true or false, or an array; found the string \"Gladia\".",
        ),
        (
            json!({ "custom_vocabulary": ["Gladia", 3] }),
            "/custom_vocabulary/1",
            "`custom_vocabulary[1]` must be a string; found the number 3.",
        ),
        (
            json!({ "custom_vocabulary_config": {} }),
            "/custom_vocabulary_config/vocabulary",
            "`custom_vocabulary_config` needs `vocabulary`: add it.",
        ),
        (
            json!({ "custom_vocabulary_config": { "vocabulary": [], "default_intensity": 1.5 } }),
            "/custom_vocabulary_config/default_intensity",
            "`default_intensity` must be between 0 and 1; found 1.5.",
        ),
        (
            in_config(json!(7)),
            "/custom_vocabulary_config/vocabulary/0",
            "`vocabulary[0]` must be a string, or an object; found the number 7.",
        ),
        (
            in_config(json!({ "intensity": 0.5 })),
            "/custom_vocabulary_config/vocabulary/0/value",
            "`vocabulary[0]` needs `value`: add it.",
        ),
        (
            in_config(json!({ "value": "a", "intensity": -0.1 })),
            "/custom_vocabulary_config/vocabulary/0/intensity",
            "`intensity` must be between 0 and 1; found -0.1.",
        ),
        (
            in_config(json!({ "value": "a", "pronunciations": "ah" })),
            "/custom_vocabulary_config/vocabulary/0/pronunciations",
            "`pronunciations` must be an array; found the string \"ah\".",
        ),
        (
            in_config(json!({ "value": "a", "language": "english" })),
            "/custom_vocabulary_config/vocabulary/0/language",
            "`language` must be one of Gladia's 99 values for it; found the string \"english\". Did you mean `en`?",
        ),
    ]);
}

#[test]
fn spellings_are_lists_of_variants() {
    check([
        (
            json!({ "custom_spelling_config": {} }),
            "/custom_spelling_config/spelling_dictionary",
            "`custom_spelling_config` needs `spelling_dictionary`: add it.",
        ),
        (
            json!({ "custom_spelling_config": { "spelling_dictionary": [] } }),
            "/custom_spelling_config/spelling_dictionary",
            "`spelling_dictionary` must be an object; found an empty array.",
        ),
        (
            json!({ "custom_spelling_config": { "spelling_dictionary": { "SQL": "Sequel" } } }),
            "/custom_spelling_config/spelling_dictionary/SQL",
            "`SQL` must be an array; found the string \"Sequel\".",
        ),
        (
            json!({ "custom_spelling_config": { "spelling_dictionary": { "SQL": ["Sequel", null] } } }),
            "/custom_spelling_config/spelling_dictionary/SQL/1",
            "`SQL[1]` must be a string; found null.",
        ),
    ]);
}

#[test]
fn subtitles_keep_gladias_bounds() {
    let cases = [
        (
            "formats",
            json!([]),
            "`formats` must have at least 1 item; found 0.",
        ),
        (
            "minimum_duration",
            json!(-1),
            "`minimum_duration` must be at least 0; found -1.",
        ),
        (
            "maximum_duration",
            json!(0.5),
            "`maximum_duration` must be between 1 and 30; found 0.5.",
        ),
        (
            "maximum_duration",
            json!(31),
            "`maximum_duration` must be between 1 and 30; found 31.",
        ),
        (
            "maximum_duration",
            json!("5"),
            "`maximum_duration` must be a number; found the string \"5\".",
        ),
        (
            "maximum_characters_per_row",
            json!(0),
            "`maximum_characters_per_row` must be at least 1; found 0.",
        ),
        (
            "maximum_characters_per_row",
            json!(5_000_000_000_u64),
            "`maximum_characters_per_row` must be at most 2147483647; found 5000000000.",
        ),
        (
            "maximum_rows_per_caption",
            json!(9),
            "`maximum_rows_per_caption` must be between 1 and 5; found 9.",
        ),
        (
            "maximum_rows_per_caption",
            json!(1.5),
            "`maximum_rows_per_caption` must be a whole number; found the number 1.5.",
        ),
        (
            "style",
            json!("fancy"),
            "`style` must be one of `default`, `compliance`; found the string \"fancy\".",
        ),
    ];
    for (field, wrong, rule) in cases {
        let violation = one_violation(json!({ "subtitles_config": { field: wrong } }));
        assert_eq!(violation.pointer, format!("/subtitles_config/{field}"));
        assert_eq!(violation.rule, rule);
    }
    check([(
        json!({ "subtitles_config": { "formats": ["srt", "VTT"] } }),
        "/subtitles_config/formats/1",
        "`formats[1]` must be one of `srt`, `vtt`; found the string \"VTT\". Did you mean `vtt`?",
    )]);
}

#[test]
fn speakers_are_counts() {
    check([
        (
            json!({ "diarization_config": { "number_of_speakers": 0 } }),
            "/diarization_config/number_of_speakers",
            "`number_of_speakers` must be at least 1; found 0.",
        ),
        (
            json!({ "diarization_config": { "min_speakers": -1 } }),
            "/diarization_config/min_speakers",
            "`min_speakers` must be at least 0; found -1.",
        ),
        (
            json!({ "diarization_config": { "max_speakers": "two" } }),
            "/diarization_config/max_speakers",
            "`max_speakers` must be a whole number; found the string \"two\".",
        ),
    ]);
}

#[test]
fn translations_and_summaries_are_gladias() {
    let target = |field: &str, wrong: Value| json!({ "translation_config": { "target_languages": ["wo"], field: wrong } });
    check([
        (
            json!({ "translation_config": {} }),
            "/translation_config/target_languages",
            "`translation_config` needs `target_languages`: add it.",
        ),
        (
            target("target_languages", json!([])),
            "/translation_config/target_languages",
            "`target_languages` must have at least 1 item; found 0.",
        ),
        (
            target("target_languages", json!(["Wolof"])),
            "/translation_config/target_languages/0",
            "`target_languages[0]` must be one of Gladia's 100 values for it; found the string \"Wolof\". Did you \
             mean `wo`?",
        ),
        (
            target("model", json!("enhance")),
            "/translation_config/model",
            "`model` must be one of `base`, `batch`, `enhanced`; found the string \"enhance\". Did you mean \
             `enhanced`?",
        ),
        (
            target("context", json!(["x"])),
            "/translation_config/context",
            "`context` must be a string; found an array of 1 item.",
        ),
        (
            json!({ "summarization_config": { "type": "paragraph" } }),
            "/summarization_config/type",
            "`type` must be one of `general`, `bullet_points`, `concise`; found the string \"paragraph\".",
        ),
    ]);
    for flag in [
        "match_original_utterances",
        "lipsync",
        "context_adaptation",
        "informal",
    ] {
        let rule = one_violation(target(flag, json!("no"))).rule;
        assert_eq!(
            rule,
            format!("`{flag}` must be true or false; found the string \"no\".")
        );
    }
}

#[test]
fn prompts_and_redactions_are_gladias() {
    check([
        (
            json!({ "audio_to_llm_config": { "model": "m" } }),
            "/audio_to_llm_config/prompts",
            "`audio_to_llm_config` needs `prompts`: add it.",
        ),
        (
            json!({ "audio_to_llm_config": { "prompts": [["nested"]] } }),
            "/audio_to_llm_config/prompts/0",
            "`prompts[0]` must be a string; found an array of 1 item.",
        ),
        (
            json!({ "audio_to_llm_config": { "prompts": ["a"], "model": "" } }),
            "/audio_to_llm_config/model",
            "`model` must not be empty: give it a value or leave it out.",
        ),
        (
            json!({ "pii_redaction_config": { "entity_types": "GDPR" } }),
            "/pii_redaction_config/entity_types",
            "`entity_types` must be an array; found the string \"GDPR\".",
        ),
        (
            json!({ "pii_redaction_config": { "entity_types": ["EMAIL_ADRESS"] } }),
            "/pii_redaction_config/entity_types/0",
            "`entity_types[0]` must be one of Gladia's 82 values for it; found the string \"EMAIL_ADRESS\". Did you \
             mean `EMAIL_ADDRESS`?",
        ),
        (
            json!({ "pii_redaction_config": { "processed_text_type": "mask" } }),
            "/pii_redaction_config/processed_text_type",
            "`processed_text_type` must be one of `MARKER`, `MASK`; found the string \"mask\". Did you mean `MASK`?",
        ),
    ]);
}
