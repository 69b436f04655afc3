//! What the caller asks for reaches Gladia, with what is ours beside it and nothing else.

use serde_json::{Value, json};

use crate::support::{TestApp, audio, eventually};

/// What Gladia got, without the gateway's own marks, which must be there.
pub fn without_ours(job: &Value) -> Value {
    let mut body = job["request_body"].clone();
    let fields = body.as_object_mut().unwrap();
    assert_eq!(fields.remove("callback"), Some(json!(true)));
    let config = fields.remove("callback_config").unwrap();
    assert_eq!(config["method"], "POST");
    assert_eq!(config.as_object().unwrap().len(), 2, "{config}");
    assert_eq!(config["url"], job["callback_url"]);
    let metadata = fields["custom_metadata"].as_object_mut().unwrap();
    let attempt = metadata.remove("gladia_gateway_attempt").unwrap();
    assert!(
        config["url"]
            .as_str()
            .unwrap()
            .contains(attempt.as_str().unwrap())
    );
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn options_reach_gladia_as_they_were_asked_for() {
    let app = TestApp::start().await;
    let asked = json!({
        "audio_url": "https://audio.example/a.mp3?X-Amz-Signature=ab%2Fc&x=1",
        "model": "solaria-1",
        "language_config": { "languages": ["en", "fr"], "code_switching": true },
        "diarization": true,
        "diarization_config": { "min_speakers": 2, "max_speakers": 4 },
        "translation": true,
        "translation_config": { "target_languages": ["de"], "model": "enhanced" },
        "subtitles": true,
        "subtitles_config": { "formats": ["srt", "vtt"] },
        "custom_vocabulary": true,
        "custom_vocabulary_config": { "vocabulary": ["Gladia", { "value": "harbour", "intensity": 0.4 }] },
        "summarization": true,
        "summarization_config": { "type": "bullet_points" },
        "sentences": false,
        "custom_metadata": { "order": 7, "nested": { "é": [1, null, "x"] } },
    });
    let id = app.acme.transcribe(&asked).await.expect(202)["id"].clone();
    app.acme.wait_until_done(id.as_str().unwrap()).await;
    let jobs = app.upstream.jobs().await;
    assert_eq!(without_ours(&jobs[0]), asked);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_added_to_a_job_without_options() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    let file = app.acme.upload(audio::short(), "a.wav", None).await;
    let file = file.expect(202);
    app.acme.wait_until_done(file["id"].as_str().unwrap()).await;
    let jobs = app.upstream.jobs().await;
    for (job, url) in jobs
        .iter()
        .zip([&json!("https://audio.example/a.mp3"), &file["audio_url"]])
    {
        assert_eq!(
            without_ours(job),
            json!({ "audio_url": url, "custom_metadata": {} })
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn extra_options_are_merged_unchecked() {
    let app = TestApp::start().await;
    let options = json!({
        "diarization": true,
        "extra_options": { "brand_new": { "level": 3 }, "another": [1] },
    });
    let answer = app
        .acme
        .upload(audio::short(), "a.wav", Some(&options))
        .await;
    let job = answer.expect(202);
    assert_eq!(job["options"], json!({ "diarization": true }));
    assert_eq!(job["extra_options"], options["extra_options"]);
    app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    let jobs = app.upstream.jobs().await;
    assert_eq!(
        without_ours(&jobs[0]),
        json!({
            "audio_url": job["audio_url"], "diarization": true, "brand_new": { "level": 3 }, "another": [1],
            "custom_metadata": {},
        })
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn extra_options_cannot_replace_what_is_ours() {
    let app = TestApp::start().await;
    for name in [
        "callback",
        "callback_config",
        "callback_url",
        "audio_url",
        "custom_metadata",
    ] {
        let body = json!({
            "audio_url": "https://audio.example/a.mp3",
            "extra_options": { name: "https://elsewhere.example/" },
        });
        let answer = app.acme.transcribe(&body).await;
        let pointer = format!("/extra_options/{name}");
        answer.violation(422, "invalid-request", &pointer);
    }
    assert_eq!(app.rows("jobs").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_marks_are_in_no_view() {
    let app = TestApp::start().await;
    let body = json!({
        "audio_url": "https://audio.example/a.mp3",
        "custom_metadata": { "order": 7 },
        "diarization": true,
    });
    let answer = app.acme.transcribe_once("0000000000000000", &body).await;
    let id = answer.expect(202)["id"].as_str().unwrap().to_owned();
    let mut views = vec![answer];
    app.acme.wait_until_done(&id).await;
    views.push(app.acme.transcribe_once("0000000000000000", &body).await);
    views.push(app.acme.get(&format!("/v1/transcriptions/{id}")).await);
    views.push(app.acme.result(&id).await);
    views.push(app.acme.get("/v1/transcriptions").await);
    let jobs = app.upstream.jobs().await;
    let callback_url = jobs[0]["callback_url"].as_str().unwrap();
    let (_, token) = callback_url.rsplit_once('/').unwrap();
    let attempt = app.attempt(&id).await.id.to_string();
    for view in &views {
        assert!(view.status < 300, "{}", view.text());
        for secret in ["gladia_gateway", "callback", token, &attempt] {
            assert!(!view.text().contains(secret), "{secret} in {}", view.text());
        }
    }
    assert_eq!(
        app.acme.job(&id).await["options"]["custom_metadata"],
        json!({ "order": 7 })
    );
    // The positive control: Gladia did get them.
    eventually("mark at Gladia", async || {
        let text = app.upstream.ledger().await.to_string();
        (text.contains(token) && text.contains(&attempt)).then_some(())
    })
    .await;
    app.finish().await;
}
