//! Jobs as programs see them that were written for Gladia.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    Answer, TestApp, audio,
    v2::{assert_same_shape, fixture, keys},
};

const QUEUED: &str = include_str!("../fixtures/gladia/job-queued.json");
const PROCESSING: &str = include_str!("../fixtures/gladia/job-processing.json");
const FAILED: &str = include_str!("../fixtures/gladia/job-error.json");
const DONE: &str = include_str!("../fixtures/gladia/done.json");
const SUCCESS: &str = include_str!("../fixtures/gladia/callback-success.json");

/// What the job of `done.json` was asked for.
fn everything(audio_url: &str) -> Value {
    json!({
        "audio_url": audio_url,
        "custom_metadata": { "tenant": "acme", "order": "A-1009" },
        "sentences": true, "named_entity_recognition": true, "sentiment_analysis": true, "chapterization": true,
        "callback": true, "callback_config": { "url": "http://127.0.0.1:9/gladia/7f3a", "method": "POST" },
        "subtitles": true, "subtitles_config": { "formats": ["srt", "vtt"] },
        "diarization": true, "diarization_config": { "min_speakers": 1, "max_speakers": 4 },
        "translation": true, "translation_config": { "target_languages": ["fr"] },
        "summarization": true,
        "audio_to_llm": true,
        "audio_to_llm_config": { "prompts": ["List the action items.", "Which city is mentioned?"] },
    })
}

/// The keys in the order in which they are written.
fn written_keys(text: &str) -> Vec<String> {
    struct Keys(Vec<String>);
    impl<'de> serde::Deserialize<'de> for Keys {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Keys;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Keys, A::Error> {
                    let mut keys = Vec::new();
                    while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                        keys.push(key);
                    }
                    Ok(Keys(keys))
                }
            }
            deserializer.deserialize_map(Visitor)
        }
    }
    let keys: Keys = serde_json::from_str(text).unwrap();
    keys.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_followed_from_the_queue_to_its_result() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let audio_url = app.acme.keep(audio::short(), "endless.wav").await;
    let id = app
        .acme
        .transcribe(&everything(&audio_url))
        .await
        .expect(202)["id"]
        .as_str()
        .unwrap()
        .to_owned();

    let mut expected = fixture(DONE);
    let of_queue = fixture(QUEUED);
    for field in ["status", "completed_at", "result"] {
        expected[field] = of_queue[field].clone();
    }
    let queued = app.acme.v2_job(&id).await;
    assert_same_shape(&queued, &expected, "queued");
    assert_eq!(queued["status"], "queued");
    assert_eq!(queued["id"], id);
    assert_eq!(queued["request_id"], format!("G-{}", &id[..8]));
    assert_eq!(queued["version"], 2);
    assert_eq!(queued["kind"], "pre-recorded");
    let v1 = app.acme.job(&id).await;
    let created_at: chrono::DateTime<chrono::Utc> =
        v1["created_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        queued["created_at"],
        created_at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    );
    let mut params = expected["request_params"].clone();
    // Where Gladia keeps the file is none of its clients' business.
    let file_id = queued["file"]["id"].as_str().unwrap();
    params["audio_url"] = format!("{}/file/{file_id}", app.acme.base).into();
    params["callback_config"]["url"] = "http://127.0.0.1:9/gladia/7f3a".into();
    assert_eq!(queued["request_params"], params);
    assert_eq!(queued["custom_metadata"], expected["custom_metadata"]);
    assert_eq!(queued["file"]["filename"], "endless.wav");
    assert_eq!(queued["file"]["source"], Value::Null);

    app.resume_dispatch().await;
    app.acme.wait_until_done(&id).await;
    let whole = app.acme.v2_get(&format!("/v2/pre-recorded/{id}")).await;
    let done = whole.expect(200);
    assert_eq!(written_keys(&whole.text()), written_keys(DONE));
    assert_eq!(keys(&done["file"]), keys(&fixture(DONE)["file"]));
    assert_eq!(done["request_params"], params);
    assert!(done["completed_at"].as_str().unwrap().ends_with('Z'));
    // The result stands there as it came.
    let result = app.acme.result(&id).await.text();
    let end = format!(",\"result\":{result}}}");
    assert!(whole.text().ends_with(&end));
    // The older name of the same.
    let twin = app.acme.v2_get(&format!("/v2/transcription/{id}")).await;
    assert_eq!(twin.text(), whole.text());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_calls_back_with_is_shown_as_gladia_would_show_it() {
    let app = TestApp::start().await;
    let body = everything("https://audio.example/endless/anna%20and%20sasha.mp3?signature=s");
    let job = app.acme.transcribe(&body).await.expect(202);
    let id = job["id"].as_str().unwrap();
    app.acme.wait_until(id, "processing").await;
    let processing = app.acme.v2_job(id).await;
    assert_eq!(processing["status"], "processing");
    // Of audio behind a link, nothing is known yet.
    let mut expected = fixture(PROCESSING);
    expected["file"] = Value::Null;
    expected["custom_metadata"] = fixture(DONE)["custom_metadata"].clone();
    expected["request_params"] = fixture(DONE)["request_params"].clone();
    assert_same_shape(&processing, &expected, "processing");

    let attempt = app.attempt(id).await;
    let mut callback = fixture(SUCCESS);
    callback["id"] = attempt.gladia_id.unwrap().into();
    let answer = app.call_back(attempt.id, callback.to_string()).await;
    assert_eq!(answer.status, 200);
    let done = app.acme.v2_job(id).await;
    let mut expected = fixture(DONE);
    assert_eq!(done["result"], expected["result"]);
    assert_eq!(done["status"], "done");
    assert_eq!(
        done["file"],
        json!({
            "id": id, "filename": "anna and sasha.mp3", "source": body["audio_url"],
            "audio_duration": done["result"]["metadata"]["audio_duration"], "number_of_channels": null,
        })
    );
    expected["file"] = done["file"].clone();
    assert_same_shape(&done, &expected, "done");
    // What the gateway asked of Gladia is in none of it.
    let shown = done.to_string();
    for ours in ["gladia_gateway", "/callbacks/", &attempt.id.to_string()] {
        assert!(!shown.contains(ours), "{ours} in {shown}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_is_answered_with_its_code_and_a_canceled_one_with_499() {
    let app = TestApp::start().await;
    let failing = app.acme.start("failing.mp3").await;
    app.acme.wait_until(&failing, "error").await;
    let failed = app.acme.v2_job(&failing).await;
    assert_same_shape(&failed, &fixture(FAILED), "failed");
    assert_eq!(failed["status"], "error");
    assert_eq!(failed["error_code"], 422);

    let endless = app.acme.start("endless.mp3").await;
    app.acme.cancel(&endless).await.expect(200);
    let canceled = app.acme.v2_job(&endless).await;
    assert_same_shape(&canceled, &fixture(FAILED), "canceled");
    assert_eq!(canceled["status"], "error");
    assert_eq!(canceled["error_code"], 499);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_often_a_job_is_looked_at_gladia_is_not_asked() {
    let app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let requests = async || {
        app.upstream.ledger().await["requests"]
            .as_array()
            .unwrap()
            .len()
    };
    let before = requests().await;
    for _ in 0..20 {
        assert_eq!(app.acme.v2_job(&id).await["status"], "processing");
        app.acme.v2_list("").await;
    }
    assert_eq!(requests().await, before);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_deleted_once_it_has_ended_and_not_before() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let id = app.acme.start("endless.mp3").await;
    let refused = app.acme.v2_delete(&id).await;
    refused.gladia_error(403, "Invalid parameter");
    app.resume_dispatch().await;
    app.acme.wait_until(&id, "processing").await;
    let refused = app.acme.v2_delete(&id).await;
    refused.gladia_error(403, "Invalid parameter");
    assert_eq!(app.acme.v2_job(&id).await["status"], "processing");

    let ended = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&ended).await;
    let deleted = app.acme.v2_delete(&ended).await;
    assert_eq!((deleted.status, deleted.bytes.len()), (202, 0));
    for path in [
        format!("/v2/pre-recorded/{ended}"),
        format!("/v2/transcription/{ended}"),
        format!("/v2/pre-recorded/{ended}/file"),
    ] {
        let answer = app.acme.v2_get(&path).await;
        let body = answer.gladia_error(404, "Not found");
        assert_eq!(body["path"], path);
    }
    app.acme
        .v2_delete(&ended)
        .await
        .gladia_error(404, "Not found");
    let page = app.acme.v2_list("").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["items"][0]["id"], id);
    // With the same receipt as of any other way to delete it.
    let gone = app.acme.get(&format!("/v1/transcriptions/{ended}")).await;
    let receipt = gone.problem(410, "transcription-deleted");
    assert_eq!(receipt["erased"]["by"], "request");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_what_is_anothers_and_what_is_no_id_names_nothing() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    let nobodys = Uuid::now_v7().to_string();
    for id in [id.as_str(), &nobodys, "none", "%00", "%ff"] {
        for path in [
            format!("/v2/pre-recorded/{id}"),
            format!("/v2/transcription/{id}/file"),
        ] {
            let answer = app.globex.v2_get(&path).await;
            answer.gladia_error(404, "Not found");
        }
        app.globex
            .v2_delete(id)
            .await
            .gladia_error(404, "Not found");
    }
    assert_eq!(app.globex.v2_list("").await["items"], json!([]));
    assert_eq!(app.acme.v2_job(&id).await["status"], "done");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audio_comes_back_as_bytes_and_the_key_stays_with_gladia() {
    let app = TestApp::start().await;
    let file = audio::wav(3.0, 44_100, 2);
    let job = app
        .acme
        .upload(file.clone(), "a.wav", None)
        .await
        .expect(202);
    let id = job["id"].as_str().unwrap();
    app.acme.wait_until_done(id).await;
    for base in ["/v2/pre-recorded", "/v2/transcription"] {
        let answer = app.acme.v2_get(&format!("{base}/{id}/file")).await;
        assert_eq!(answer.status, 200);
        assert!(answer.bytes == file, "{} bytes", answer.bytes.len());
        assert_eq!(
            answer.header("content-type"),
            Some("application/octet-stream")
        );
    }
    let request = app
        .acme
        .v2(Method::GET, &format!("/v2/pre-recorded/{id}/file"));
    let part = Answer::to(request.header("range", "bytes=0-3")).await;
    assert!(matches!(part.status, 200 | 206), "{}", part.status);
    assert_eq!(&part.bytes[..4], b"RIFF");
    assert_eq!(app.upstream.count("keys_leaked").await, 0);

    // Of audio behind a link the simulator keeps nothing, as Gladia after a while.
    let without = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&without).await;
    let answer = app
        .acme
        .v2_get(&format!("/v2/pre-recorded/{without}/file"))
        .await;
    answer.gladia_error(404, "Not found");
    app.pause_dispatch().await;
    let waiting = app.acme.start("endless.mp3").await;
    let answer = app
        .acme
        .v2_get(&format!("/v2/pre-recorded/{waiting}/file"))
        .await;
    answer.gladia_error(404, "Not found");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_passed_on_unchecked_is_shown_in_the_shapes_that_gladia_has() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let body = json!({
        "audio_url": "https://audio.example/a.mp3",
        "diarization": true,
        "extra_options": {
            "translation": true,
            "translation_config": ["fr"],
            "audio_to_llm": true,
            "audio_to_llm_config": { "prompts": "one", "of_tomorrow": true },
            "custom_vocabulary": true,
            "custom_vocabulary_config": { "default_intensity": 0.5 },
            "custom_spelling": true,
            "custom_spelling_config": { "spelling_dictionary": { "Gladia": "gladja", "API": ["a p i"] } },
            "subtitles": "srt",
            "language_config": "fr",
            "model": { "name": "solaria-9" },
            "_unknown_fields": 7,
            "of_tomorrow": ["as", { "it": "came" }],
        },
    });
    let job = app.acme.transcribe(&body).await.expect(202);
    let id = job["id"].as_str().unwrap();
    let shown = app.acme.v2_job(id).await;
    let params = &shown["request_params"];
    for (name, expected) in [
        ("diarization", json!(true)),
        ("subtitles", json!(false)),
        ("model", json!("solaria-1")),
        (
            "language_config",
            json!({ "languages": [], "code_switching": false }),
        ),
        (
            "custom_spelling_config",
            json!({ "spelling_dictionary": { "API": ["a p i"] } }),
        ),
        ("of_tomorrow", json!(["as", { "it": "came" }])),
    ] {
        assert_eq!(params[name], expected, "{name}");
    }
    assert_eq!(params["translation_config"]["target_languages"], json!([]));
    assert_eq!(params["audio_to_llm_config"]["prompts"], json!([]));
    assert_eq!(params["audio_to_llm_config"]["of_tomorrow"], true);
    for absent in [
        "custom_vocabulary_config",
        "subtitles_config",
        "_unknown_fields",
    ] {
        assert_eq!(params.get(absent), None, "{absent}");
    }
    assert_eq!(
        app.acme.v2_list("").await["items"][0]["request_params"],
        *params
    );
    // Of what is kept nothing is changed.
    assert_eq!(job["extra_options"], body["extra_options"]);
    assert_eq!(
        app.acme.job(id).await["extra_options"],
        body["extra_options"]
    );
    app.stop().await;
}
