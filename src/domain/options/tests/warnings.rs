//! What is accepted with a warning: where it points, its kind, and what it advises.

use serde_json::{Map, Value, json};

use super::{everything, object, parse, warnings_of};
use crate::domain::options::WarningCode::{
    Alpha, Contradictory, Discontinued, LikelyHarmful, NoEffect, NotDocumented, SwitchedOn,
    Unchecked,
};
use crate::domain::options::{OptionsPolicy, Warning, WarningCode, warn_of_extra};

/// A body, and the pointer, the kind and some of the words of its only warning.
type Case = (Value, &'static str, WarningCode, &'static str);

fn check(cases: impl IntoIterator<Item = Case>) {
    for (body, pointer, code, words) in cases {
        let warnings = warnings(body.clone());
        let [warning] = warnings.as_slice() else {
            panic!("not one warning of {body} but {warnings:#?}");
        };
        assert_eq!((warning.pointer.as_str(), warning.code), (pointer, code));
        assert!(warning.message.contains(words), "{}", warning.message);
    }
}

fn warnings(body: Value) -> Vec<Warning> {
    warnings_of(body, OptionsPolicy::default())
}

#[test]
fn what_is_plain_gives_no_warning() {
    for body in [
        json!({}),
        json!({ "model": "solaria-3", "language_config": { "languages": ["en"] } }),
        json!({ "language_config": { "languages": ["en", "fr", "de"], "code_switching": true } }),
        json!({ "language_config": { "languages": [], "code_switching": false } }),
        json!({ "subtitles": true, "subtitles_config": { "minimum_duration": 2, "maximum_duration": 2 } }),
        json!({
            "diarization": true,
            "diarization_config": { "number_of_speakers": 2, "min_speakers": 2, "max_speakers": 2 }
        }),
        json!({
            "diarization": true,
            "diarization_config": { "number_of_speakers": 3, "min_speakers": 2, "max_speakers": 0 }
        }),
        json!({
            "custom_vocabulary": true,
            "custom_vocabulary_config": {
                "default_intensity": 0.6, "vocabulary": ["a", { "value": "b", "intensity": 0.6 }]
            }
        }),
        json!({ "punctuation_enhanced": false, "chapterization": null }),
    ] {
        assert_eq!(warnings(body.clone()), [], "{body}");
    }
}

#[test]
fn what_gladias_documentation_leaves_open_is_told() {
    check([
        (
            json!({ "model": "solaria-fusion" }),
            "/model",
            NotDocumented,
            "use `solaria-1`",
        ),
        (
            json!({ "model": "solaria-3" }),
            "/language_config/languages",
            NotDocumented,
            "name the one that is spoken",
        ),
        (
            json!({ "model": "solaria-3", "language_config": { "languages": ["en", "it"] } }),
            "/language_config/languages",
            NotDocumented,
            "name the one that is spoken",
        ),
        (
            json!({ "custom_vocabulary": ["Gladia"] }),
            "/custom_vocabulary",
            NotDocumented,
            "older form",
        ),
        (
            json!({
                "custom_vocabulary": ["Gladia"], "custom_vocabulary_config": { "vocabulary": ["Solaria"] }
            }),
            "/custom_vocabulary",
            Contradictory,
            "give all of them in `custom_vocabulary_config`",
        ),
        (
            json!({ "punctuation_enhanced": true }),
            "/punctuation_enhanced",
            Alpha,
            "may change or go",
        ),
    ]);
}

#[test]
fn what_has_no_effect_or_a_bad_one_is_told() {
    let vocabulary =
        |config: Value| json!({ "custom_vocabulary": true, "custom_vocabulary_config": config });
    let high = json!({ "value": "a", "intensity": 0.61 });
    check([
        (
            json!({ "language_config": { "languages": ["en", "en"], "code_switching": true } }),
            "/language_config/code_switching",
            NoEffect,
            "name every language that may be spoken",
        ),
        (
            vocabulary(json!({ "vocabulary": ["a"], "default_intensity": 1 })),
            "/custom_vocabulary_config/default_intensity",
            LikelyHarmful,
            "give at most 0.6.",
        ),
        (
            vocabulary(json!({ "vocabulary": ["a", high] })),
            "/custom_vocabulary_config/vocabulary/1/intensity",
            LikelyHarmful,
            "give at most 0.6.",
        ),
        (
            vocabulary(json!({ "vocabulary": [high, "b", high] })),
            "/custom_vocabulary_config/vocabulary/0/intensity",
            LikelyHarmful,
            "give at most 0.6, here and for 1 more word.",
        ),
        (
            vocabulary(json!({ "vocabulary": [high, high, high] })),
            "/custom_vocabulary_config/vocabulary/0/intensity",
            LikelyHarmful,
            "here and for 2 more words.",
        ),
        (
            // Of a vocabulary that is off, its intensities do not matter.
            json!({ "custom_vocabulary": false, "custom_vocabulary_config": { "vocabulary": [high] } }),
            "/custom_vocabulary_config",
            NoEffect,
            "give `custom_vocabulary` as `true`, or leave `custom_vocabulary_config` out",
        ),
    ]);
}

#[test]
fn numbers_that_contradict_each_other_are_told() {
    let speakers = |config: Value| json!({ "diarization": true, "diarization_config": config });
    check([
        (
            speakers(json!({ "number_of_speakers": 1, "min_speakers": 2 })),
            "/diarization_config/number_of_speakers",
            Contradictory,
            "below `min_speakers`",
        ),
        (
            speakers(json!({ "number_of_speakers": 5, "min_speakers": 2, "max_speakers": 4 })),
            "/diarization_config/number_of_speakers",
            Contradictory,
            "above `max_speakers`",
        ),
        (
            speakers(json!({ "min_speakers": 4, "max_speakers": 2 })),
            "/diarization_config/min_speakers",
            Contradictory,
            "`min_speakers` is 4 and `max_speakers` 2;",
        ),
        (
            // Of a range that no number is in, none can be outside.
            speakers(json!({ "number_of_speakers": 3, "min_speakers": 4, "max_speakers": 2 })),
            "/diarization_config/min_speakers",
            Contradictory,
            "`min_speakers` is 4 and `max_speakers` 2;",
        ),
        (
            json!({ "subtitles": true, "subtitles_config": { "minimum_duration": 2.5, "maximum_duration": 2 } }),
            "/subtitles_config/minimum_duration",
            Contradictory,
            "`minimum_duration` is 2.5 and `maximum_duration` 2;",
        ),
    ]);
}

#[test]
fn a_configuration_that_switches_its_option_on_says_so() {
    for (flag, config) in [
        ("custom_vocabulary", json!({ "vocabulary": ["Gladia"] })),
        ("custom_spelling", json!({ "spelling_dictionary": {} })),
        ("subtitles", json!({})),
        ("diarization", json!({})),
        ("translation", json!({ "target_languages": ["fr"] })),
        ("summarization", json!({})),
        ("audio_to_llm", json!({ "prompts": ["What was decided?"] })),
        ("pii_redaction", json!({})),
        (
            "structured_data_extraction",
            json!({ "classes": ["Persons"] }),
        ),
    ] {
        let name = format!("{flag}_config");
        for (body, code) in [
            (json!({ name.as_str(): config }), Some(SwitchedOn)),
            (
                json!({ name.as_str(): config, flag: null }),
                Some(SwitchedOn),
            ),
            (
                json!({ name.as_str(): config, flag: false }),
                Some(NoEffect),
            ),
            (json!({ name.as_str(): config, flag: true }), None),
        ] {
            let found: Vec<(String, WarningCode)> = warnings(body)
                .into_iter()
                // Which is said of some of them beside it.
                .filter(|warning| warning.code != Discontinued)
                .map(|warning| (warning.pointer, warning.code))
                .collect();
            let expected: Vec<(String, WarningCode)> = code
                .map(|code| (format!("/{name}"), code))
                .into_iter()
                .collect();
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn switching_between_any_languages_is_told_of_in_the_discontinued_spelling_too() {
    let told = |body: Value| -> Vec<(String, WarningCode)> {
        warnings(body)
            .into_iter()
            .filter(|warning| warning.code != Discontinued)
            .map(|warning| (warning.pointer, warning.code))
            .collect()
    };
    for body in [
        json!({ "enable_code_switching": true }),
        json!({ "enable_code_switching": true, "code_switching_config": { "languages": [] } }),
        json!({ "enable_code_switching": true, "language_config": {}, "code_switching_config": {} }),
    ] {
        let expected = [("/enable_code_switching".to_owned(), LikelyHarmful)];
        assert_eq!(told(body.clone()), expected, "{body}");
    }
    for body in [
        json!({ "enable_code_switching": false }),
        json!({ "enable_code_switching": true, "code_switching_config": { "languages": ["en", "fr"] } }),
        json!({ "enable_code_switching": true, "language_config": { "languages": ["en", "fr"] } }),
    ] {
        assert_eq!(told(body.clone()), [], "{body}");
    }
}

#[test]
fn discontinued_options_name_what_replaces_them() {
    let cases = [
        ("chapterization", "`audio_to_llm`"),
        ("code_switching_config", "`language_config`"),
        ("context_prompt", "`custom_vocabulary_config`"),
        ("detect_language", "`language_config`"),
        ("display_mode", "`diarization`"),
        (
            "enable_code_switching",
            "`code_switching` in `language_config`",
        ),
        ("language", "`languages` in `language_config`"),
        ("moderation", "`audio_to_llm`"),
        ("name_consistency", "`custom_spelling_config`"),
        ("structured_data_extraction", "`audio_to_llm`"),
        ("structured_data_extraction_config", "`audio_to_llm_config`"),
    ];
    let everything = everything();
    let body: Map<String, Value> = cases
        .iter()
        .map(|(old, _)| ((*old).to_owned(), everything[*old].clone()))
        .collect();
    let warnings = warnings(body.into());
    assert_eq!(warnings.len(), cases.len(), "{warnings:#?}");
    for ((old, replacement), warning) in cases.into_iter().zip(warnings) {
        assert_eq!(
            (warning.pointer, warning.code),
            (format!("/{old}"), Discontinued)
        );
        let start = format!(
            "Gladia has discontinued `{old}`, and may ignore it or refuse the job: leave it out, or use {replacement}"
        );
        assert!(warning.message.starts_with(&start), "{}", warning.message);
    }
}

#[test]
fn every_extra_option_is_told_to_be_unchecked() {
    let options = parse(json!({ "subtitles_config": { "formats": ["srt"] } })).unwrap();
    let extra =
        object(json!({ "a/b": 1, "sentences": true, "subtitles": false, "subtitles_config": {} }));
    let found: Vec<(String, WarningCode, bool, bool)> = warn_of_extra(&options, &extra)
        .into_iter()
        .map(|warning| {
            let replaces = warning.message.contains("replaces the whole option");
            let is_known = warning.message.contains("give it at the top");
            (warning.pointer, warning.code, replaces, is_known)
        })
        .collect();
    let expected = [
        ("/extra_options/a~1b", false, false),
        ("/extra_options/sentences", false, true),
        ("/extra_options/subtitles", true, false),
        ("/extra_options/subtitles_config", true, false),
    ];
    let expected = expected
        .map(|(pointer, replaces, is_known)| (pointer.to_owned(), Unchecked, replaces, is_known));
    assert_eq!(found, expected);
}

#[test]
fn warnings_are_few_and_short_whatever_is_sent() {
    let options = parse(json!({})).unwrap();
    let long = "x".repeat(1_000_000);
    let extra = object(json!({ long: 1 }));
    let [warning] = warn_of_extra(&options, &extra).try_into().unwrap();
    assert_eq!(warning.pointer, "/extra_options");
    assert!(warning.message.len() < 200);

    let many = (0..1000).map(|number| (format!("x{number}"), json!(1)));
    assert_eq!(warn_of_extra(&options, &many.collect()).len(), 50);

    let words: Vec<Value> = (0..10_000)
        .map(|_| json!({ "value": "a", "intensity": 1 }))
        .collect();
    let body =
        json!({ "custom_vocabulary": true, "custom_vocabulary_config": { "vocabulary": words } });
    assert_eq!(warnings(body).len(), 1);
}
