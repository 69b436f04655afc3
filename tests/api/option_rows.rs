//! Every option of Gladia's, sent right and sent wrong: what is right reaches Gladia as it was asked for, and what is wrong
//! reaches nobody and is answered with its place, its rule and the values that are allowed.

use std::collections::BTreeSet;

use gladia_gateway::{domain::options::CALLBACK_OPTIONS, http::openapi};
use serde_json::{Value, json};

use crate::{options::without_ours, support::TestApp};

/// Right bodies, of which none gives a warning.
fn right() -> Vec<Value> {
    let mut bodies = vec![
        json!({ "model": "solaria-1" }),
        json!({ "model": "solaria-3", "language_config": { "languages": ["fr"] } }),
        json!({ "language_config": {} }),
        json!({ "language_config": { "languages": [] , "code_switching": false } }),
        json!({ "language_config": { "languages": ["en", "haw", "jw"], "code_switching": true } }),
        json!({ "custom_vocabulary": false }),
        json!({ "custom_vocabulary": true, "custom_vocabulary_config": { "vocabulary": [] } }),
        json!({
            "custom_vocabulary": true,
            "custom_vocabulary_config": {
                "vocabulary": [
                    "Westeros",
                    { "value": "Stark" },
                    { "value": "Arya", "intensity": 0, "pronunciations": ["Aria"], "language": "en" },
                    { "value": "Bran", "intensity": 0.6, "pronunciations": [] },
                ],
                "default_intensity": 0.6,
            },
        }),
        json!({ "custom_spelling": true, "custom_spelling_config": { "spelling_dictionary": {} } }),
        json!({
            "custom_spelling": true,
            "custom_spelling_config": { "spelling_dictionary": { "SQL": ["Sequel"], "é/~": [] } },
        }),
        json!({ "subtitles": true, "subtitles_config": {} }),
        json!({
            "subtitles": true,
            "subtitles_config": {
                "formats": ["srt"], "minimum_duration": 0, "maximum_duration": 1,
                "maximum_characters_per_row": 1, "maximum_rows_per_caption": 1, "style": "default",
            },
        }),
        json!({
            "subtitles": true,
            "subtitles_config": {
                "formats": ["srt", "vtt"], "minimum_duration": 1.25, "maximum_duration": 30,
                "maximum_characters_per_row": 80, "maximum_rows_per_caption": 5, "style": "compliance",
            },
        }),
        json!({ "diarization": true, "diarization_config": { "number_of_speakers": 1 } }),
        json!({ "diarization": true, "diarization_config": { "min_speakers": 0, "max_speakers": 0 } }),
        json!({ "translation": true, "translation_config": { "target_languages": ["wo"] } }),
        json!({
            "translation": true,
            "translation_config": {
                "target_languages": ["fr", "de"], "model": "batch", "match_original_utterances": false,
                "lipsync": false, "context_adaptation": true, "context": "A board meeting", "informal": true,
            },
        }),
        json!({ "summarization": true, "summarization_config": {} }),
        json!({ "audio_to_llm": true, "audio_to_llm_config": { "prompts": ["Who decided what?"] } }),
        json!({
            "audio_to_llm": true,
            "audio_to_llm_config": { "prompts": ["One", "Two"], "model": "openai/gpt-5.4-nano" },
        }),
        json!({ "pii_redaction": true, "pii_redaction_config": {} }),
        json!({
            "pii_redaction": true,
            "pii_redaction_config": { "entity_types": ["GDPR", "ZODIAC_SIGN"], "processed_text_type": "MARKER" },
        }),
        json!({ "pii_redaction": true, "pii_redaction_config": { "processed_text_type": "MASK" } }),
        json!({ "callback": false }),
        json!({ "callback": true, "callback_config": { "url": "http://127.0.0.1:1/told?key=1" } }),
        json!({ "callback": true, "callback_config": { "url": "http://127.0.0.1:1", "method": "POST" } }),
        json!({ "callback": true, "callback_config": { "url": "http://127.0.0.1:1/", "method": "PUT" } }),
        json!({ "punctuation_enhanced": false }),
        json!({ "custom_metadata": {} }),
        json!({ "custom_metadata": { "é": [null, 1, 1.5, "x", { "": true }] } }),
    ];
    for flag in [
        "subtitles",
        "diarization",
        "summarization",
        "named_entity_recognition",
        "sentiment_analysis",
        "pii_redaction",
        "sentences",
    ] {
        bodies.push(json!({ flag: true }));
        bodies.push(json!({ flag: false }));
    }
    for flag in ["custom_spelling", "translation", "audio_to_llm"] {
        bodies.push(json!({ flag: false }));
    }
    for model in ["base", "enhanced"] {
        let config = json!({ "target_languages": ["es"], "model": model });
        bodies.push(json!({ "translation": true, "translation_config": config }));
    }
    for kind in ["general", "bullet_points", "concise"] {
        bodies.push(json!({ "summarization": true, "summarization_config": { "type": kind } }));
    }
    bodies
}

/// A wrong body, with the only place that is wrong, some words of the rule, and how many values are allowed, if they are
/// listed.
type Wrong = (Value, &'static str, &'static str, Option<usize>);

#[rustfmt::skip]
fn wrong() -> Vec<Wrong> {
    let vocabulary = |entry: Value| json!({ "custom_vocabulary_config": { "vocabulary": ["a", entry] } });
    let subtitles = |field: &str, value: Value| json!({ "subtitles_config": { field: value } });
    let speakers = |field: &str, value: Value| json!({ "diarization_config": { field: value } });
    let translation = |field: &str, value: Value| json!({ "translation_config": { "target_languages": ["fr"], field: value } });
    vec![
        (json!({ "model": "default" }), "/model", "one of `solaria-1`", Some(3)),
        (json!({ "model": ["solaria-1"] }), "/model", "a string", Some(3)),
        (json!({ "language_config": [] }), "/language_config", "an object", None),
        (json!({ "language_config": { "languages": "en" } }), "/language_config/languages", "an array", None),
        (json!({ "language_config": { "languages": ["en", "en-US"] } }), "/language_config/languages/1", "Did you mean `en`?", Some(99)),
        (json!({ "language_config": { "languages": ["wo"] } }), "/language_config/languages/0", "99 values", Some(99)),
        (json!({ "language_config": { "code_switching": 1 } }), "/language_config/code_switching", "true or false", None),
        (json!({ "language_config": { "code_switching": true } }), "/language_config/languages", "3 to 5", None),
        (json!({ "model": "solaria-3", "language_config": { "languages": ["pt"] } }), "/language_config/languages/0", "use `solaria-1`", Some(5)),
        (json!({ "model": "solaria-3", "language_config": { "languages": ["de", "it"], "code_switching": true } }), "/language_config/code_switching", "does not switch", None),
        (json!({ "custom_vocabulary": "Gladia" }), "/custom_vocabulary", "true or false, or an array", None),
        (json!({ "custom_vocabulary": ["Gladia", { "value": "x" }] }), "/custom_vocabulary/1", "a string", None),
        (json!({ "custom_vocabulary": true }), "/custom_vocabulary_config", "needs `custom_vocabulary_config`", None),
        (json!({ "custom_vocabulary_config": {} }), "/custom_vocabulary_config/vocabulary", "needs `vocabulary`", None),
        (json!({ "custom_vocabulary_config": { "vocabulary": [], "default_intensity": 1.01 } }), "/custom_vocabulary_config/default_intensity", "between 0 and 1", None),
        (vocabulary(json!(7)), "/custom_vocabulary_config/vocabulary/1", "a string, or an object", None),
        (vocabulary(json!({ "intensity": 0.1 })), "/custom_vocabulary_config/vocabulary/1/value", "needs `value`", None),
        (vocabulary(json!({ "value": "b", "intensity": -0.01 })), "/custom_vocabulary_config/vocabulary/1/intensity", "between 0 and 1", None),
        (vocabulary(json!({ "value": "b", "pronunciations": "bee" })), "/custom_vocabulary_config/vocabulary/1/pronunciations", "an array", None),
        (vocabulary(json!({ "value": "b", "language": "xx" })), "/custom_vocabulary_config/vocabulary/1/language", "99 values", Some(99)),
        (vocabulary(json!({ "value": "b", "wieght": 1 })), "/custom_vocabulary_config/vocabulary/1/wieght", "not a known field", None),
        (json!({ "custom_spelling": "yes" }), "/custom_spelling", "true or false", None),
        (json!({ "custom_spelling": true }), "/custom_spelling_config", "needs `custom_spelling_config`", None),
        (json!({ "custom_spelling_config": {} }), "/custom_spelling_config/spelling_dictionary", "needs `spelling_dictionary`", None),
        (json!({ "custom_spelling_config": { "spelling_dictionary": { "SQL": "Sequel" } } }), "/custom_spelling_config/spelling_dictionary/SQL", "an array", None),
        (json!({ "subtitles": 1 }), "/subtitles", "true or false", None),
        (json!({ "subtitles_config": "srt" }), "/subtitles_config", "an object", None),
        (subtitles("formats", json!([])), "/subtitles_config/formats", "at least 1 item", None),
        (subtitles("formats", json!(["ttml"])), "/subtitles_config/formats/0", "one of `srt`, `vtt`", Some(2)),
        (subtitles("minimum_duration", json!(-0.1)), "/subtitles_config/minimum_duration", "at least 0", None),
        (subtitles("maximum_duration", json!(0.9)), "/subtitles_config/maximum_duration", "between 1 and 30", None),
        (subtitles("maximum_duration", json!(30.1)), "/subtitles_config/maximum_duration", "between 1 and 30", None),
        (subtitles("maximum_characters_per_row", json!(0)), "/subtitles_config/maximum_characters_per_row", "at least 1", None),
        (subtitles("maximum_characters_per_row", json!(1.5)), "/subtitles_config/maximum_characters_per_row", "a whole number", None),
        (subtitles("maximum_rows_per_caption", json!(0)), "/subtitles_config/maximum_rows_per_caption", "between 1 and 5", None),
        (subtitles("maximum_rows_per_caption", json!(6)), "/subtitles_config/maximum_rows_per_caption", "between 1 and 5", None),
        (subtitles("style", json!("fancy")), "/subtitles_config/style", "one of `default`, `compliance`", Some(2)),
        (json!({ "diarization": "true" }), "/diarization", "true or false", None),
        (json!({ "diarization_config": 2 }), "/diarization_config", "an object", None),
        (speakers("number_of_speakers", json!(0)), "/diarization_config/number_of_speakers", "at least 1", None),
        (speakers("num_of_speakers", json!(2)), "/diarization_config/num_of_speakers", "did you mean `number_of_speakers`?", None),
        (speakers("min_speakers", json!(-1)), "/diarization_config/min_speakers", "at least 0", None),
        (speakers("max_speakers", json!(2.5)), "/diarization_config/max_speakers", "a whole number", None),
        (json!({ "translation": 1 }), "/translation", "true or false", None),
        (json!({ "translation": true }), "/translation_config", "needs `translation_config`", None),
        (json!({ "translation_config": {} }), "/translation_config/target_languages", "needs `target_languages`", None),
        (translation("target_languages", json!([])), "/translation_config/target_languages", "at least 1 item", None),
        (translation("target_languages", json!(["Klingon"])), "/translation_config/target_languages/0", "100 values", Some(100)),
        (translation("model", json!("best")), "/translation_config/model", "one of `base`", Some(3)),
        (translation("match_original_utterances", json!("no")), "/translation_config/match_original_utterances", "true or false", None),
        (translation("lipsync", json!(0)), "/translation_config/lipsync", "true or false", None),
        (translation("context_adaptation", json!([])), "/translation_config/context_adaptation", "true or false", None),
        (translation("context", json!({})), "/translation_config/context", "a string", None),
        (translation("informal", json!("tu")), "/translation_config/informal", "true or false", None),
        (json!({ "summarization": {} }), "/summarization", "true or false", None),
        (json!({ "summarization_config": { "type": "paragraph" } }), "/summarization_config/type", "one of `general`", Some(3)),
        (json!({ "summarization_config": [] }), "/summarization_config", "an object", None),
        (json!({ "named_entity_recognition": 0 }), "/named_entity_recognition", "true or false", None),
        (json!({ "sentiment_analysis": "on" }), "/sentiment_analysis", "true or false", None),
        (json!({ "audio_to_llm": [] }), "/audio_to_llm", "true or false", None),
        (json!({ "audio_to_llm": true }), "/audio_to_llm_config", "needs `audio_to_llm_config`", None),
        (json!({ "audio_to_llm_config": { "prompts": [] } }), "/audio_to_llm_config/prompts", "at least 1 item", None),
        (json!({ "audio_to_llm_config": { "prompts": [["nested"]] } }), "/audio_to_llm_config/prompts/0", "a string", None),
        (json!({ "audio_to_llm_config": { "prompts": ["a"], "model": 5 } }), "/audio_to_llm_config/model", "a string", None),
        (json!({ "pii_redaction": "GDPR" }), "/pii_redaction", "true or false", None),
        (json!({ "pii_redaction_config": true }), "/pii_redaction_config", "an object", None),
        (json!({ "pii_redaction_config": { "entity_types": "GDPR" } }), "/pii_redaction_config/entity_types", "an array", None),
        (json!({ "pii_redaction_config": { "entity_types": ["gdpr"] } }), "/pii_redaction_config/entity_types/0", "Did you mean `GDPR`?", Some(82)),
        (json!({ "pii_redaction_config": { "processed_text_type": "STARS" } }), "/pii_redaction_config/processed_text_type", "one of `MARKER`, `MASK`", Some(2)),
        (json!({ "sentences": "all" }), "/sentences", "true or false", None),
        (json!({ "punctuation_enhanced": 1 }), "/punctuation_enhanced", "true or false", None),
        (json!({ "custom_metadata": "ticket 7" }), "/custom_metadata", "an object", None),
        (json!({ "custom_metadata": { "gladia_gateway_attempt": 1 } }), "/custom_metadata/gladia_gateway_attempt", "use another", None),
        (json!({ "chapterization": "yes" }), "/chapterization", "true or false", None),
        (json!({ "code_switching_config": { "languages": ["xx"] } }), "/code_switching_config/languages/0", "99 values", Some(99)),
        (json!({ "context_prompt": ["a"] }), "/context_prompt", "a string", None),
        (json!({ "detect_language": "en" }), "/detect_language", "true or false", None),
        (json!({ "display_mode": 2 }), "/display_mode", "true or false", None),
        (json!({ "enable_code_switching": "no" }), "/enable_code_switching", "true or false", None),
        (json!({ "language": "english" }), "/language", "Did you mean `en`?", Some(99)),
        (json!({ "moderation": {} }), "/moderation", "true or false", None),
        (json!({ "name_consistency": 0 }), "/name_consistency", "true or false", None),
        (json!({ "structured_data_extraction": 1 }), "/structured_data_extraction", "true or false", None),
        (json!({ "structured_data_extraction_config": { "classes": [7] } }), "/structured_data_extraction_config/classes/0", "a string", None),
        (json!({ "encoding": "wav/pcm" }), "/encoding", "live API", None),
        (json!({ "endpointing": 0.1 }), "/endpointing", "live API", None),
        (json!({ "realtime_processing": {} }), "/realtime_processing", "live API", None),
        (json!({ "diarisation": true }), "/diarisation", "did you mean `diarization`?", None),
    ]
}

/// The same of the callback, which is the gateway's own matter.
#[rustfmt::skip]
fn wrong_callbacks() -> Vec<Wrong> {
    let callback = |field: &str, value: Value| json!({ "callback": true, "callback_config": { "url": "https://a.example/", field: value } });
    vec![
        (json!({ "callback": "yes" }), "/callback", "true or false", None),
        (json!({ "callback": true }), "/callback_config", "needs `callback_config` with `url`", None),
        (json!({ "callback_config": "https://a.example/" }), "/callback_config", "an object", None),
        (json!({ "callback_config": {} }), "/callback_config/url", "needs `url`", None),
        (callback("url", json!(7)), "/callback_config/url", "a string", None),
        (callback("url", json!("a.example/told")), "/callback_config/url", "`url` must be an absolute http or https URL", None),
        (callback("url", json!("ftp://a.example/")), "/callback_config/url", "an http or https URL", None),
        (callback("url", json!("https://me@a.example/")), "/callback_config/url", "user name", None),
        (callback("url", json!("https://a.example/#top")), "/callback_config/url", "fragment", None),
        (callback("url", json!(format!("https://a.example/{}", "a".repeat(2048)))), "/callback_config/url", "2048 bytes", None),
        (callback("url", json!("http://10.0.0.1/")), "/callback_config/url", "`url` must lead to public addresses", None),
        (callback("url", json!("http://0xa9fea9fe/latest")), "/callback_config/url", "public addresses", None),
        (callback("url", json!("http://[::ffff:192.168.0.1]/")), "/callback_config/url", "public addresses", None),
        (callback("url", json!("http://93.184.215.14:22/")), "/callback_config/url", "one of the ports 80", None),
        (callback("method", json!("put")), "/callback_config/method", "Did you mean `PUT`?", Some(2)),
        (callback("header", json!({})), "/callback_config/header", "not a known field", None),
        (json!({ "callback_url": 7 }), "/callback_url", "a string", None),
        (json!({ "callback_url": "/told" }), "/callback_url", "`callback_url` must be an absolute http or https URL", None),
        (json!({ "callback_url": "http://169.254.169.254/" }), "/callback_url", "public addresses", None),
        (json!({ "callback": true, "callback_config": { "url": "https://a.example/" }, "callback_url": "https://b.example/" }), "/callback_url", "there is one callback", None),
    ]
}

fn with_audio(options: &Value, audio: &str) -> Value {
    let mut body = options.clone();
    body["audio_url"] = format!("https://audio.example/{audio}").into();
    body
}

/// Each option, and each field of an option's configuration, as the published document names them: `/a` and `/a/b`.
fn published() -> BTreeSet<String> {
    let document: Value = serde_json::from_str(include_str!("../../openapi/openapi.json")).unwrap();
    let schemas = &document["components"]["schemas"];
    let mut names = BTreeSet::new();
    let options = schemas["TranscriptionOptions"]["properties"].as_object();
    for (option, declared) in options.unwrap() {
        names.insert(format!("/{option}"));
        let branches = declared["oneOf"].as_array().into_iter().flatten();
        for branch in branches {
            let Some(reference) = branch["$ref"].as_str() else {
                continue;
            };
            let (_, schema) = reference.rsplit_once('/').unwrap();
            if let Some(fields) = schemas[schema]["properties"].as_object() {
                names.extend(fields.keys().map(|field| format!("/{option}/{field}")));
            }
        }
    }
    names
}

#[test]
fn the_tables_miss_no_option_and_no_field() {
    let published = published();
    assert!(published.len() > 50, "{published:?}");
    let wrong = [wrong(), wrong_callbacks()].concat();
    let discontinued = crate::option_warnings::discontinued();
    let mut right = right();
    right.extend(
        discontinued
            .into_iter()
            .map(|(name, value)| json!({ name: value })),
    );
    // Right, and deprecated.
    right.push(json!({ "callback_url": "https://a.example/" }));
    for name in published {
        let within = format!("{name}/");
        let is_wrong = wrong
            .iter()
            .any(|(_, pointer, ..)| *pointer == name || pointer.starts_with(&within));
        assert!(is_wrong, "{name} is never wrong");
        let is_right = right.iter().any(|body| body.pointer(&name).is_some());
        assert!(is_right, "{name} is never right");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_option_that_is_right_reaches_gladia_as_it_was_asked_for() {
    let app = TestApp::start().await;
    let rows = right();
    let mut ids = Vec::new();
    for (number, options) in rows.iter().enumerate() {
        let body = with_audio(options, &format!("row-{number}.mp3"));
        let job = app.acme.transcribe(&body).await.expect(202);
        assert_eq!(job["warnings"], json!([]), "{options}");
        assert_eq!(&job["options"], options);
        ids.push(job["id"].as_str().unwrap().to_owned());
    }
    for id in &ids {
        app.acme.wait_until_done(id).await;
    }
    let jobs = app.upstream.jobs().await;
    assert_eq!(jobs.len(), rows.len());
    for (number, options) in rows.iter().enumerate() {
        let mut asked = with_audio(options, &format!("row-{number}.mp3"));
        // The caller's callback is the gateway's own matter.
        for name in CALLBACK_OPTIONS {
            asked.as_object_mut().unwrap().remove(name);
        }
        if asked.get("custom_metadata").is_none() {
            asked["custom_metadata"] = json!({});
        }
        let job = jobs
            .iter()
            .find(|job| job["request_body"]["audio_url"] == asked["audio_url"]);
        assert_eq!(without_ours(job.unwrap()), asked);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_option_that_is_wrong_is_refused_by_its_place_and_its_rule() {
    let app = TestApp::start().await;
    for (options, pointer, words, allowed) in [wrong(), wrong_callbacks()].concat() {
        let answer = app.acme.transcribe(&with_audio(&options, "a.mp3")).await;
        let rule = answer.violation(422, "invalid-request", pointer);
        assert!(rule.contains(words), "{options}: {rule}");
        let error = &answer.json()["errors"][0];
        let listed = error["allowed"].as_array().map(Vec::len);
        assert_eq!(listed, allowed, "{options}: {error}");
    }
    app.finish_with_nothing_kept().await;
}

/// The places of the objects inside a body.
fn objects_in(body: &Value, place: &str, found: &mut Vec<String>) {
    let mut inside = |name: &str, value: &Value| {
        let place = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
        if value.is_object() {
            found.push(place.clone());
        }
        objects_in(value, &place, found);
    };
    match body {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| inside(name, value)),
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                inside(&index.to_string(), value);
            }
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_the_document_does_not_allow_is_refused_and_no_other() {
    let mut document = serde_json::to_value(openapi::document()).unwrap();
    document["$ref"] = json!("#/components/schemas/CreateTranscription");
    let documented = jsonschema::validator_for(&document).unwrap();
    let app = TestApp::start().await;
    let discontinued = crate::option_warnings::discontinued();
    let discontinued = discontinued
        .into_iter()
        .map(|(name, value)| json!({ name: value }));
    let told = json!({ "callback": true, "callback_config": { "url": "https://b.example/" } });
    let mut looked_at = BTreeSet::new();
    for options in right().into_iter().chain(discontinued).chain([told]) {
        let body = with_audio(&options, "a.mp3");
        let mut places = Vec::new();
        objects_in(&body, "", &mut places);
        for place in places {
            // Words are what both a field and a spelling may have.
            let mut other = body.clone();
            other.pointer_mut(&place).unwrap()["nonsense"] = json!(["a"]);
            let answer = app.acme.post("/v1/transcriptions/validate", &other).await;
            let expected = if documented.is_valid(&other) {
                200
            } else {
                422
            };
            assert_eq!(answer.status, expected, "{other}: {}", answer.text());
            if expected == 422 {
                answer.violation(422, "invalid-request", &format!("{place}/nonsense"));
            }
            let names = place
                .split('/')
                .filter(|name| name.parse::<usize>().is_err());
            looked_at.insert((names.collect::<Vec<_>>().join("/"), expected));
        }
    }
    for (place, expected) in [
        ("/language_config", 422),
        ("/callback_config", 422),
        ("/custom_vocabulary_config/vocabulary", 422),
        ("/custom_spelling_config/spelling_dictionary", 200),
        ("/custom_metadata", 200),
    ] {
        assert!(
            looked_at.contains(&(place.to_owned(), expected)),
            "{looked_at:?}"
        );
    }
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_is_answered_at_once() {
    let app = TestApp::start().await;
    let body = json!({
        "audio_url": "nowhere",
        "extra_options": { "callback": true },
        "model": "solaria-2",
        "sample_rate": 16000,
        "subtitles_config": { "style": "fancy", "formats": [] },
        "translation": true,
        "language_config": { "code_switching": true },
        "chapterization": 1,
    });
    let problem = app.acme.transcribe(&body).await;
    let problem = problem.problem(422, "invalid-request");
    let errors = problem["errors"].as_array().unwrap();
    let pointers: BTreeSet<&str> = errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(
        pointers.into_iter().collect::<Vec<_>>(),
        [
            "/audio_url",
            "/chapterization",
            "/extra_options/callback",
            "/language_config/languages",
            "/model",
            "/sample_rate",
            "/subtitles_config/formats",
            "/subtitles_config/style",
            "/translation_config",
        ]
    );
    let allowed = |pointer: &str| {
        let error = errors.iter().find(|error| error["pointer"] == pointer);
        error.unwrap()["allowed"].clone()
    };
    assert_eq!(
        allowed("/model"),
        json!(["solaria-1", "solaria-3", "solaria-fusion"])
    );
    assert_eq!(
        allowed("/subtitles_config/style"),
        json!(["default", "compliance"])
    );
    assert_eq!(allowed("/sample_rate"), Value::Null);
    app.finish_with_nothing_kept().await;
}
