//! Bodies that are refused, by the field and the rule.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, TestApp};

const CREATE: &str = "/v1/transcriptions";

async fn post(app: &TestApp, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = app
        .acme
        .request(Method::POST, CREATE)
        .header("content-type", content_type)
        .body(body);
    Answer::to(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_object_is_refused() {
    let app = TestApp::start().await;
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        "",
        "{",
        "nul",
        "[]",
        "null",
        "7",
        "\"text\"",
        "{\"a\": 1,}",
        "{} {}",
        "\u{feff}{}",
        &deep,
        "{\"audio_url\": \"\\ud800\"}",
    ] {
        let answer = post(&app, "application/json", body.to_owned()).await;
        answer.problem(400, "malformed-json");
    }
    let answer = post(
        &app,
        "application/json",
        b"{\"audio_url\": \"\xff\"}".to_vec(),
    )
    .await;
    answer.problem(400, "malformed-json");
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "nonsense",
    ] {
        let answer = post(&app, content_type, "{}").await;
        answer.problem(415, "unsupported-media-type");
    }
    let request = app.acme.request(Method::POST, CREATE).body("{}");
    Answer::to(request)
        .await
        .problem(415, "unsupported-media-type");
    assert_eq!(app.rows("jobs").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused() {
    let app = TestApp::builder()
        .set("MAX_REQUEST_BYTES", 10_000)
        .start()
        .await;
    let body = json!({ "audio_url": format!("https://audio.example/{}", "a".repeat(20_000)) });
    app.acme
        .transcribe(&body)
        .await
        .problem(413, "payload-too-large");
    assert_eq!(app.rows("jobs").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let app = TestApp::builder()
        .set("REQUEST_TIMEOUT_SECONDS", 1)
        .start()
        .await;
    let key = app.acme.key.as_ref().unwrap();
    let request = format!(
        "POST {CREATE} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    let answer = app.send_bytes(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("problem:request-timeout"), "{answer}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_that_breaks_a_rule_is_named() {
    let app = TestApp::start().await;
    for (more, pointer, hint) in [
        (
            json!({ "diarisation": true }),
            "/diarisation",
            "diarization",
        ),
        (
            json!({ "callback_url": "a.example" }),
            "/callback_url",
            "absolute",
        ),
        (json!({ "callback": true }), "/callback_config", "needs"),
        (
            json!({ "callback_config": { "url": "http://10.0.0.1/" } }),
            "/callback_config/url",
            "public addresses",
        ),
        (
            json!({ "diarization": "yes" }),
            "/diarization",
            "true or false",
        ),
        (json!({ "diarization": 1 }), "/diarization", ""),
        (
            json!({ "custom_metadata": [] }),
            "/custom_metadata",
            "object",
        ),
        (
            json!({ "custom_metadata": { "gladia_gateway_attempt": "x" } }),
            "/custom_metadata/gladia_gateway_attempt",
            "",
        ),
        (
            json!({ "custom_metadata": { "a": "x".repeat(3000) } }),
            "/custom_metadata",
            "2000",
        ),
        (
            json!({ "extra_options": "all" }),
            "/extra_options",
            "object",
        ),
    ] {
        let mut body = json!({ "audio_url": "https://audio.example/a.mp3" });
        let fields = body.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        let answer = app.acme.transcribe(&body).await;
        let rule = answer.violation(422, "invalid-request", pointer);
        assert!(rule.contains(hint), "{rule}");
    }
    // Several at once are all told.
    let body = json!({ "audio_url": 7, "diarisation": true, "model": false });
    let problem = app
        .acme
        .transcribe(&body)
        .await
        .problem(422, "invalid-request");
    let pointers: std::collections::BTreeSet<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(
        pointers.into_iter().collect::<Vec<_>>(),
        ["/audio_url", "/diarisation", "/model"]
    );
    assert_eq!(app.rows("jobs").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audio_url_must_be_one_that_gladia_can_fetch() {
    let app = TestApp::start().await;
    let long = format!("https://audio.example/{}", "a".repeat(9000));
    for url in [
        json!(""),
        json!("a.mp3"),
        json!("/a.mp3"),
        json!("//audio.example/a.mp3"),
        json!("ftp://audio.example/a.mp3"),
        json!("file:///etc/passwd"),
        json!("data:audio/wav;base64,AA"),
        json!("https://"),
        json!("https://user:secret@audio.example/a.mp3"),
        json!("https://audio.example/a b"),
        json!("https://audio.example/\u{0}"),
        json!("https://audio.example:99999/"),
        json!(long),
        json!(null),
        json!(7),
        json!(["https://audio.example/a.mp3"]),
    ] {
        let answer = app.acme.transcribe(&json!({ "audio_url": url })).await;
        answer.violation(422, "invalid-request", "/audio_url");
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
    app.acme
        .transcribe(&json!({}))
        .await
        .violation(422, "invalid-request", "/audio_url");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_would_take_much_more_memory_than_its_length_is_refused() {
    let app = TestApp::start().await;
    let url = "https://audio.example/a.mp3";
    let many = vec![json!({ "": 0 }); 10_000];
    let mut deep = json!(0);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    for (options, status, kind) in [
        (json!({ "many": many }), 413, "payload-too-large"),
        (
            json!({ "many": vec![0; 100_000] }),
            413,
            "payload-too-large",
        ),
        (json!({ "deep": deep }), 400, "malformed-json"),
    ] {
        let create = json!({ "audio_url": url, "extra_options": options });
        let problem = app.acme.transcribe(&create).await;
        problem.problem(status, kind);
        let mut create = options;
        create["audio_url"] = json!(url);
        let answer = app.acme.v2(Method::POST, "/v2/pre-recorded").json(&create);
        assert_eq!(Answer::to(answer).await.status, status);
    }
    app.finish().await;
}
