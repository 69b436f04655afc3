//! From the request to the result.

use gladia_gateway::gladia::callback::result_of;
use serde_json::{Value, json, value::RawValue};

use crate::support::{TestApp, audio, rows::success};

#[tokio::test(flavor = "multi_thread")]
async fn audio_behind_a_url_is_transcribed() {
    let app = TestApp::start().await;
    let answer = app
        .acme
        .transcribe(&json!({ "audio_url": "https://audio.example/spoken.mp3" }))
        .await;
    let job = answer.expect(202);
    let id = job["id"].as_str().unwrap();
    assert_eq!(
        answer.header("location"),
        Some(format!("/v1/transcriptions/{id}").as_str())
    );

    let done = app.acme.wait_until_done(id).await;
    let transcript = &done["result"]["transcription"]["full_transcript"];
    assert_eq!(transcript, "Good morning from the harbour");
    assert_eq!(done["audio_url"], "https://audio.example/spoken.mp3");
    assert_eq!(done["audio_duration_seconds"], 2.0);
    assert_eq!(done["file"], Value::Null);
    assert_eq!(done["error"], Value::Null);
    let jobs = app.upstream.jobs().await;
    assert_eq!(done["gladia_id"], jobs[0]["id"]);
    for (earlier, later) in [("created_at", "started_at"), ("started_at", "finished_at")] {
        assert!(done[earlier].as_str().unwrap() <= done[later].as_str().unwrap());
    }
    // The callback may come before the create's answer is recorded, and then nothing is said of processing.
    let mut events = app.events(id).await;
    events.retain(|event| event != "processing");
    assert_eq!(events, ["queued", "submitting", "done"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stereo_file_is_transcribed_with_its_duration_and_channels() {
    let app = TestApp::start().await;
    let file = audio::wav(1.5, 44_100, 2);
    let answer = app.acme.upload(file.clone(), "spoken.wav", None).await;
    let job = answer.expect(202);
    let expected =
        json!({ "filename": "spoken.wav", "size_bytes": file.len(), "number_of_channels": 2 });
    assert_eq!(job["file"], expected);
    assert_eq!(job["audio_duration_seconds"], 1.5);

    let done = app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    let transcript = &done["result"]["transcription"]["full_transcript"];
    assert_eq!(transcript, "Good evening from the lighthouse");
    assert_eq!(done["file"], expected);
    assert_eq!(done["audio_duration_seconds"], 1.5);
    let metadata = &done["result"]["metadata"];
    assert_eq!(metadata["audio_duration"], 1.5);
    assert_eq!(done["billing_time_seconds"], metadata["billing_time"]);
    assert_eq!(app.rows("uploads").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_result_is_the_callbacks_payload_byte_for_byte() {
    let app = TestApp::start().await;
    let id = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_done(&id).await;
    let stored: Vec<u8> = app.scalar("SELECT body FROM callbacks").await;
    let body = zstd::decode_all(stored.as_slice()).unwrap();
    let result = app.acme.result(&id).await;
    result.expect(200);
    assert_eq!(result.text(), result_of(&body).unwrap().get());
    assert_eq!(result.header("content-type"), Some("application/json"));
    // In the transcription it stands as it is, too.
    let whole = app.acme.get(&format!("/v1/transcriptions/{id}")).await;
    let fields = whole.expect(200);
    assert_eq!(fields["status"], "done");
    let end = format!(",\"result\":{}}}", result.text());
    assert!(whole.text().ends_with(&end), "{}", whole.text());
    assert_eq!(whole.header("content-type"), Some("application/json"));
    let length = whole.bytes.len().to_string();
    assert_eq!(whole.header("content-length"), Some(length.as_str()));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_may_add_one_day_is_kept_as_it_came() {
    let app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let attempt = app.attempt(&id).await;
    // Digits, spaces and order that a parser would not give back.
    let payload = r#"{ "zeta": [1.0, 0.6399999999999999, 1e2], "metadata": {"audio_duration":1.50 , "new_count": 12345678901234567890123},
        "transcription": {"utterances": [], "mood": null, "full_transcript": "\u00e9t\u00e9 \ud83d\ude00"} , "alpha" : {"b":1,"a":2} }"#;
    let gladia_id = attempt.gladia_id.unwrap();
    let body = format!(
        r#"{{"new_envelope_field": true, "id": "{gladia_id}", "event":"transcription.success", "payload": {payload} , "custom_metadata": {{}}}}"#
    );
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    assert_eq!(app.acme.result(&id).await.text(), payload);

    let job = app.acme.get(&format!("/v1/transcriptions/{id}")).await;
    let parsed: std::collections::HashMap<String, Box<RawValue>> =
        serde_json::from_slice(&job.bytes).unwrap();
    assert_eq!(parsed["result"].get(), payload);
    assert_eq!(job.json()["audio_duration_seconds"], 1.5);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_add_on_is_named_and_the_job_is_done_all_the_same() {
    let app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let attempt = app.attempt(&id).await;
    let mut body: Value =
        serde_json::from_str(&success(attempt.gladia_id.as_deref().unwrap(), "words")).unwrap();
    body["payload"]["summarization"] = json!({
        "success": false, "is_empty": true, "results": null, "exec_time": 0.5,
        "error": { "status_code": 504, "exception": "Timeout", "message": "The summary took too long" },
    });
    app.call_back(attempt.id, body.to_string()).await;
    let done = app.acme.wait_until_done(&id).await;
    assert_eq!(
        done["addon_errors"],
        json!([{
            "pointer": "/summarization", "status_code": 504, "exception": "Timeout",
            "message": "The summary took too long",
        }])
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_a_result_says_so() {
    let app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    app.acme.result(&id).await.problem(409, "result-not-ready");
    let failing = app.acme.start("failing.mp3").await;
    let failed = app.acme.wait_until(&failing, "error").await;
    assert_eq!(
        failed["error"],
        json!({
            "type": "transcription_failed", "code": 422,
            "message": "The audio holds nothing that can be heard",
            "retry": failed["error"]["retry"],
        })
    );
    assert_eq!(failed.get("result"), None);
    app.acme
        .result(&failing)
        .await
        .problem(409, "result-not-ready");
    app.stop().await;
}
