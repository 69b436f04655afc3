//! `/v2` answers in Gladia's envelope, whatever goes wrong.

use gladia_gateway::domain::access::Scope;
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_by_method_and_path() {
    let app = TestApp::start().await;
    for (method, path) in [
        (Method::GET, "/v2"),
        (Method::GET, "/v2/nothing"),
        (Method::GET, "/v2/nothing/deeper/"),
        (Method::PUT, "/v2/pre-recorded"),
        (Method::GET, "/v2/upload"),
        (Method::PATCH, "/v2/transcription"),
        (Method::POST, "/v2/pre-recorded/a/b/c"),
    ] {
        let answer = Answer::to(app.acme.as_gladias_client(method.clone(), path)).await;
        let body = answer.envelope(404);
        assert_eq!(body["message"], format!("Cannot {method} {path}"));
        assert_eq!(body["path"], path);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_the_gateways_and_come_in_gladias_header() {
    let app = TestApp::start().await;
    let body = json!({ "audio_url": "https://audio.example/a.mp3" });
    let nobody = app.acme.with_key(None).v2_create(&body).await;
    assert_eq!(nobody.envelope(401)["message"], "no gladia key provided");
    let stranger = app.acme.with_key(Some("ggw_nobody")).v2_create(&body).await;
    assert_eq!(stranger.envelope(401)["message"], "gladia user not found");
    // A key in our own header is none here.
    let ours = app.acme.post("/v2/pre-recorded", &body).await;
    assert_eq!(ours.envelope(401)["message"], "no gladia key provided");
    let reader = app.caller("acme", Scope::Read).await;
    reader.v2_create(&body).await.envelope(403);
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_may_ask_from_anywhere() {
    let app = TestApp::start().await;
    for path in ["/v2/pre-recorded", "/v2/upload/", "/v2/whatever"] {
        let request = app
            .acme
            .with_key(None)
            .as_gladias_client(Method::OPTIONS, path)
            .header("origin", "https://page.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "x-gladia-key");
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, 204, "{path}");
        assert!(answer.bytes.is_empty());
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let headers = answer.header("access-control-allow-headers");
        assert_eq!(headers, Some("x-gladia-key"));
        let methods = answer.header("access-control-allow-methods").unwrap();
        assert!(methods.contains("DELETE"), "{methods}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_cannot_be_read_are_told_in_the_envelope() {
    let app = TestApp::builder()
        .set("MAX_REQUEST_BYTES", 1000)
        .set("MAX_UPLOAD_BYTES", 1000)
        .start()
        .await;
    let create = |text: String| {
        let request = app
            .acme
            .as_gladias_client(Method::POST, "/v2/pre-recorded")
            .header("content-type", "application/json");
        Answer::to(request.body(text))
    };
    for text in ["", "{", "[]", "\"audio\""] {
        create(text.to_owned()).await.envelope(400);
    }
    let large = create(format!("{{\"audio_url\":\"{}\"}}", "a".repeat(2000))).await;
    assert_eq!(large.envelope(413)["message"], "Payload too large");
    let file = app
        .acme
        .as_gladias_client(Method::POST, "/v2/upload")
        .header("content-type", "multipart/form-data; boundary=b")
        .header("content-length", 10_000_000)
        .body(vec![0; 10_000_000]);
    let large = Answer::to(file).await;
    assert_eq!(large.envelope(413)["message"], "Payload too large");
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_a_503_in_the_envelope() {
    let app = TestApp::builder().with_database_relay().start().await;
    let body = json!({ "audio_url": "https://audio.example/a.mp3" });
    app.database_relay().cut().await;
    for answer in [
        // Of this key it is not known whose it is.
        app.acme.v2_create(&body).await,
        Answer::to(app.acme.v2(Method::GET, "/v2/pre-recorded")).await,
    ] {
        let message = &answer.envelope(503)["message"];
        let told = "The gateway's database does not answer. Repeat the request in a moment.";
        assert!(message.as_str().unwrap().starts_with(told), "{message}");
        assert!(answer.header("retry-after").is_some());
    }
    app.database_relay().mend();
    app.finish_with_nothing_kept().await;
}
