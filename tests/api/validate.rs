//! A request that is checked and not made: nothing comes of it, and it tells what would have come of it.

use std::collections::HashMap;

use gladia_gateway::domain::access::Scope;
use proptest::{
    prelude::*, sample::select, sample::subsequence, strategy::ValueTree, test_runner::TestRunner,
};
use serde_json::{Map, Value, json};

use crate::{
    options::without_ours,
    support::{Answer, Caller, TestApp, audio},
};

/// How many bodies are checked and then asked for.
const BODIES: usize = 80;

async fn validate(caller: &Caller, body: &Value) -> Answer {
    caller.post("/v1/transcriptions/validate", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_checked_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let reader = app.caller("acme", Scope::Read).await;
    let body = json!({
        "audio_url": "https://audio.example/a.webm",
        "diarization_config": { "min_speakers": 2 },
        "translation": null,
        "custom_metadata": { "order": 7 },
        "extra_options": { "brand_new": [1] },
    });
    let answer = validate(&reader, &body).await;
    let checked = answer.expect(200);
    let options = json!({
        "diarization": true,
        "diarization_config": { "min_speakers": 2 },
        "custom_metadata": { "order": 7 },
    });
    assert_eq!(checked["options"], options);
    assert_eq!(checked["extra_options"], body["extra_options"]);
    let mut upstream = options;
    upstream["brand_new"] = json!([1]);
    upstream["audio_url"] = body["audio_url"].clone();
    assert_eq!(checked["upstream_body"], upstream);
    assert_eq!(checked["warnings"][0]["pointer"], "/audio_url");
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_can_be_checked_before_there_is_audio() {
    let app = TestApp::start().await;
    for body in [json!({}), json!({ "audio_url": null })] {
        let checked = validate(&app.acme, &body).await.expect(200);
        let nothing =
            json!({ "options": {}, "extra_options": {}, "warnings": [], "upstream_body": {} });
        assert_eq!(checked, nothing);
    }
    let body = json!({ "diarization": true, "model": "solaria-9" });
    let refused = validate(&app.acme, &body).await;
    refused.violation(422, "invalid-request", "/model");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_at_all_is_refused_as_everywhere() {
    let app = TestApp::start().await;
    let path = "/v1/transcriptions/validate";
    for (content_type, body, status, slug) in [
        ("application/json", "[]", 400, "malformed-json"),
        ("text/plain", "{}", 415, "unsupported-media-type"),
    ] {
        let answer = Answer::to(app.acme.raw(path, content_type, body)).await;
        answer.problem(status, slug);
    }
    let nobody = app.acme.with_key(None);
    validate(&nobody, &json!({}))
        .await
        .problem(401, "unauthorized");
    app.finish().await;
}

/// Bodies of every kind: audio of all sorts, and some of the options, of which a few are wrong.
fn any_body(audio_urls: Vec<Value>) -> impl Strategy<Value = Value> {
    let options = [
        ("model", json!("solaria-1")),
        ("model", json!("solaria-9")),
        (
            "language_config",
            json!({ "languages": ["en", "de"], "code_switching": true }),
        ),
        ("diarization", json!(false)),
        (
            "diarization_config",
            json!({ "min_speakers": 2, "max_speakers": 3 }),
        ),
        (
            "translation_config",
            json!({ "target_languages": ["fr"], "context": "é\u{1f600}" }),
        ),
        ("subtitles", json!(true)),
        (
            "subtitles_config",
            json!({ "formats": ["srt"], "minimum_duration": 0.1 }),
        ),
        ("summarization", json!(true)),
        ("sentences", json!(null)),
        (
            "custom_vocabulary_config",
            json!({ "vocabulary": ["a", { "value": "b", "intensity": 0.3 }] }),
        ),
        (
            "custom_spelling_config",
            json!({ "spelling_dictionary": { "Gladia": ["gladja"] } }),
        ),
        ("pii_redaction_config", json!({ "entity_types": ["GDPR"] })),
        ("audio_to_llm_config", json!({ "prompts": ["Who speaks?"] })),
        (
            "custom_metadata",
            json!({ "share": 0.1 + 0.2, "large": 9_007_199_254_740_993_u64, "text": "\u{0}\\" }),
        ),
        (
            "extra_options",
            json!({ "brand_new": { "level": 1e-7 }, "diarization": true }),
        ),
        ("extra_options", json!({ "callback": true })),
        (
            "callback_config",
            json!({ "url": "http://127.0.0.1:1/told?key=1" }),
        ),
        ("callback_url", json!("http://127.0.0.1:1/told?key=1")),
        ("diarisation", json!(true)),
    ];
    let count = options.len();
    (
        select(audio_urls),
        subsequence(options.to_vec(), 0..=count / 2),
    )
        .prop_map(|(audio_url, options)| {
            let mut body: Map<_, _> = options
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            body.insert("audio_url".to_owned(), audio_url);
            Value::Object(body)
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_request_is_what_becomes_of_it() {
    let app = TestApp::start().await;
    let audio_urls = vec![
        json!("https://audio.example/a.mp3"),
        json!("https://audio.example/a.webm?X-Amz-Date=20200101T000000Z&X-Amz-Expires=60"),
        json!(app.acme.keep(audio::short(), "a.wav").await),
        json!(app.globex.keep(audio::short(), "b.wav").await),
        json!("https://audio.example/b.mp3"),
        json!("ftp://audio.example/a.mp3"),
    ];
    let bodies = any_body(audio_urls);
    let mut runner = TestRunner::deterministic();
    let mut promised = HashMap::new();
    let mut refused = 0;
    for number in 0..BODIES {
        let body = bodies.new_tree(&mut runner).unwrap().current();
        let checked = validate(&app.acme, &body).await;
        let created = app.acme.transcribe(&body).await;
        if created.status != 202 {
            refused += 1;
            let (mut said, mut came) = (checked.json(), created.json());
            for problem in [&mut said, &mut came] {
                problem["request_id"].take();
            }
            assert_eq!(said, came, "body {number}: {body}");
            continue;
        }
        let (checked, created) = (checked.expect(200), created.expect(202));
        for field in ["options", "extra_options", "warnings"] {
            assert_eq!(checked[field], created[field], "body {number}: {body}");
        }
        let id = created["id"].as_str().unwrap();
        app.acme.wait_until_done(id).await;
        let attempt = app.attempt(id).await;
        promised.insert(attempt.gladia_id.unwrap(), checked["upstream_body"].clone());
    }
    assert!(
        promised.len() > BODIES / 5 && refused > BODIES / 5,
        "{} accepted, {refused} refused",
        promised.len()
    );
    for job in app.upstream.jobs().await {
        let mut promised = promised.remove(job["id"].as_str().unwrap()).unwrap();
        // Where our mark was alone, an empty object is left of it.
        if promised["custom_metadata"].is_null() {
            promised["custom_metadata"] = json!({});
        }
        assert_eq!(without_ours(&job), promised);
    }
    assert!(promised.is_empty(), "{promised:?} did not reach Gladia");
    app.finish().await;
}
