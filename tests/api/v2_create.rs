//! Creates as Gladia's clients send them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, eventually};

fn audio(name: &str) -> String {
    format!("https://audio.example/{name}")
}

/// The body of the only create that Gladia has got, without what is the gateway's.
async fn sent(app: &TestApp) -> Value {
    let jobs = app.upstream.jobs().await;
    assert_eq!(jobs.len(), 1);
    let mut body = jobs[0]["request_body"].clone();
    assert_eq!(body["callback"], true);
    let fields = body.as_object_mut().unwrap();
    fields.remove("callback");
    fields.remove("callback_config");
    let metadata = fields["custom_metadata"].as_object_mut().unwrap();
    metadata.remove("gladia_gateway_attempt").unwrap();
    if metadata.is_empty() {
        fields.remove("custom_metadata");
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_is_answered_as_gladia_answers_it_under_both_names() {
    let app = TestApp::builder()
        .set("API_URL", "https://gateway.example")
        .start()
        .await;
    for path in [
        "/v2/pre-recorded",
        "/v2/pre-recorded/",
        "/v2/transcription",
        "/v2/transcription/",
    ] {
        let request = app.acme.as_gladias_client(Method::POST, path);
        let answer = Answer::to(request.json(&json!({ "audio_url": audio("a.mp3") }))).await;
        let body = answer.expect(201);
        let id = body["id"].as_str().unwrap();
        let result_url = format!("https://gateway.example/v2/pre-recorded/{id}");
        assert_eq!(body, json!({ "id": id, "result_url": result_url }));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        app.acme.wait_until_done(id).await;
    }
    assert_eq!(app.upstream.count("creates_received").await, 4);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_looks_like_a_mistake_goes_to_gladia_as_it_is() {
    let app = TestApp::start().await;
    let body = json!({
        "audio_url": audio("a.mp3"),
        "custom_vocabulary": ["Gladia", "Solaria"],
        "subtitles_config": { "formats": ["vtt"], "new_field": [1, 2.5] },
        "model": null,
        "chapterization": true,
        "language": "klingon",
        "enable_code_switching": "yes",
        "diarization": false,
        "diarization_config": { "num_of_speakers": 3 },
        "an_option_of_tomorrow": { "deep": [null, { "er": "\u{0}" }] },
        "custom_metadata": { "order": 7, "nested": { "a": [true] } },
    });
    let id = app.acme.v2_start(&body).await;
    let job = app.acme.wait_until_done(&id).await;
    assert_eq!(sent(&app).await, body);
    // What the types of /v1 hold is shown there, the rest as what nobody has checked.
    assert_eq!(job["options"]["custom_metadata"], body["custom_metadata"]);
    assert_eq!(
        job["options"]["custom_vocabulary"],
        body["custom_vocabulary"]
    );
    assert_eq!(job["options"]["chapterization"], true);
    for name in [
        "subtitles_config",
        "model",
        "language",
        "an_option_of_tomorrow",
    ] {
        assert_eq!(job["extra_options"].get(name), body.get(name), "{name}");
        assert_eq!(job["options"].get(name), None, "{name}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_surrogate_pair_is_taken_as_a_character_that_stands_for_none() {
    let app = TestApp::start().await;
    let text = format!(
        r#"{{"audio_url":"{}","custom_metadata":{{"title":"Call \ud83d","\uDE00":"\ud83d\uD83D\ude00 \\ud83d"}}}}"#,
        audio("a.mp3")
    );
    let request = app.acme.as_gladias_client(Method::POST, "/v2/pre-recorded");
    let created = Answer::to(request.body(text)).await.expect(201);
    let id = created["id"].as_str().unwrap();
    app.acme.wait_until_done(id).await;
    let metadata = json!({ "title": "Call \u{fffd}", "\u{fffd}": "\u{fffd}\u{1f600} \\ud83d" });
    assert_eq!(sent(&app).await["custom_metadata"], metadata);
    assert_eq!(app.acme.v2_job(id).await["custom_metadata"], metadata);
    // What is wrong otherwise is told as it was sent.
    let request = app.acme.as_gladias_client(Method::POST, "/v2/pre-recorded");
    let told = Answer::to(request.body(r#"{"a":"\ud83d","b":}"#)).await;
    let message = told.envelope(400)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("line 1 column 19"), "{message}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_refuses_is_refused_in_its_words_all_at_once() {
    let app = TestApp::start().await;
    let long = "a".repeat(1990);
    let cases = [
        (json!({}), vec!["audio_url should not be empty"]),
        (
            json!({ "audio_url": null }),
            vec!["audio_url should not be empty"],
        ),
        (
            json!({ "audio_url": "call.mp3" }),
            vec!["audio_url must be a URL address"],
        ),
        (
            json!({ "audio_url": "x", "model": "m" }),
            vec![
                "audio_url must be a URL address",
                "model must be one of the following values: solaria-1, solaria-3, solaria-fusion",
            ],
        ),
        (
            json!({ "audio_url": audio("a.mp3"), "callback_config": { "url": "x" }, "callback_url": "y" }),
            vec![
                "callback_url must be a URL address",
                "callback_config.url must be a URL address",
            ],
        ),
        (
            json!({ "audio_url": audio("a.mp3"), "diarization": "yes", "model": "default",
                    "audio_to_llm_config": { "prompts": [["nested"]] } }),
            vec![
                "model must be one of the following values: solaria-1, solaria-3, solaria-fusion",
                "diarization must be a boolean value",
                "audio_to_llm_config.each value in prompts must be a string",
            ],
        ),
        (
            json!({ "audio_url": audio("a.mp3"), "custom_metadata": { "text": long } }),
            vec![
                "custom_metadata must be shorter than or equal to 1936 characters once stringified",
            ],
        ),
        (
            json!({ "audio_url": audio("a.mp3"), "custom_metadata": { "gladia_gateway_attempt": "1" } }),
            vec!["custom_metadata.gladia_gateway_attempt should not exist"],
        ),
    ];
    for (body, errors) in cases {
        let told = app.acme.v2_create(&body).await.envelope(400);
        let message = "Invalid parameter(s). See validation_errors for more details.";
        assert_eq!(told["message"], message);
        assert_eq!(told["validation_errors"], json!(errors), "{body}");
    }
    let body = json!({ "audio_url": audio("a.mp3"), "language_config": { "languages": ["xx"] } });
    let told = app.acme.v2_create(&body).await.envelope(400);
    let error = told["validation_errors"][0].as_str().unwrap();
    let begins = "language_config.languages must only contain the following values: af, am, ar";
    assert!(error.starts_with(begins), "{error}");
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_the_gateways_to_make() {
    let app = TestApp::start().await;
    for (body, callback) in [
        (
            json!({ "callback": true, "callback_config": { "url": "http://127.0.0.1:9/a", "method": "PUT", "more": 1 } }),
            Some(json!({ "url": "http://127.0.0.1:9/a", "method": "PUT" })),
        ),
        (
            json!({ "callback_url": "http://127.0.0.1:9/b" }),
            Some(json!({ "url": "http://127.0.0.1:9/b", "method": "POST" })),
        ),
        (
            json!({ "callback": false, "callback_config": { "url": "http://127.0.0.1:9/c" } }),
            None,
        ),
        (json!({ "callback": true }), None),
    ] {
        let mut body = body;
        body["audio_url"] = json!(audio("a.mp3"));
        let id = app.acme.v2_start(&body).await;
        let stored: Option<Value> = sqlx::query_scalar("SELECT callback FROM jobs WHERE id = $1")
            .bind(id.parse::<uuid::Uuid>().unwrap())
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(stored, callback, "{body}");
        app.acme.wait_until_done(&id).await;
    }
    for job in app.upstream.jobs().await {
        assert!(!job.to_string().contains("127.0.0.1:9"), "{job}");
    }
    // An address that is never called is not accepted in silence.
    let body = json!({ "audio_url": audio("a.mp3"), "callback_url": "http://10.0.0.1/told" });
    let told = app.acme.v2_create(&body).await.envelope(400);
    let error = told["validation_errors"][0].as_str().unwrap();
    assert!(error.starts_with("callback_url "), "{error}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_accounts_limit_jobs_wait_and_nobody_meets_429() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 1).start().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let body = json!({ "audio_url": audio(&format!("lengthy-{number}.mp3")) });
        ids.push(app.acme.v2_start(&body).await);
    }
    for id in &ids {
        app.acme.wait_until_done(id).await;
    }
    assert_eq!(app.upstream.count("max_in_flight_seen").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_needs_no_content_type() {
    let app = TestApp::start().await;
    let request = app.acme.as_gladias_client(Method::POST, "/v2/pre-recorded");
    let text = json!({ "audio_url": audio("a.mp3") }).to_string();
    let created = Answer::to(request.body(text)).await.expect(201);
    let id = created["id"].as_str().unwrap();
    eventually("end", async || {
        (app.acme.job(id).await["status"] == "done").then_some(())
    })
    .await;
    app.finish().await;
}
