//! The original audio, on its way back.

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use reqwest::Method;
use serde_json::json;
use tokio::{net::TcpListener, sync::mpsc};

use crate::support::{Answer, TestApp, audio};

#[tokio::test(flavor = "multi_thread")]
async fn the_audio_comes_back_whole_and_the_key_stays_with_gladia() {
    let app = TestApp::start().await;
    let file = audio::wav(3.0, 44_100, 2);
    let job = app
        .acme
        .upload(file.clone(), "a.wav", None)
        .await
        .expect(202);
    let id = job["id"].as_str().unwrap();
    app.acme.wait_until_done(id).await;
    let answer = app
        .acme
        .get(&format!("/v1/transcriptions/{id}/audio"))
        .await;
    assert_eq!(answer.status, 200);
    assert!(answer.bytes == file, "{} bytes", answer.bytes.len());
    assert_eq!(answer.header("content-disposition"), Some("attachment"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let ledger = app.upstream.ledger().await;
    let requests = ledger["requests"].as_array().unwrap();
    let storage: Vec<_> = requests
        .iter()
        .filter(|request| request["origin"] == "storage")
        .collect();
    assert_eq!(storage.len(), 1);
    assert_eq!(storage[0]["has_key"], false);
    app.finish().await;
}

type Requests = mpsc::UnboundedSender<HeaderMap>;

/// A storage on another origin that gives out parts of a file.
async fn storage() -> (String, mpsc::UnboundedReceiver<HeaderMap>) {
    async fn serve(State(requests): State<Requests>, headers: HeaderMap) -> Response {
        let range = headers
            .get("range")
            .map(|range| range.to_str().unwrap().to_owned());
        requests.send(headers).unwrap();
        match range.as_deref() {
            Some("bytes=2-4") => {
                let headers = [
                    ("content-range", "bytes 2-4/2000"),
                    ("content-type", "audio/mpeg"),
                    ("etag", "\"v1\""),
                    ("set-cookie", "session=of-the-storage"),
                    ("x-amz-request-id", "1"),
                ];
                (StatusCode::PARTIAL_CONTENT, headers, Body::from("234")).into_response()
            }
            Some("bytes=9000-") => {
                let headers = [("content-range", "bytes */2000")];
                (StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response()
            }
            // Long, and named like something that would be compressed.
            _ => ([("content-type", "text/plain")], "0123456789".repeat(200)).into_response(),
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://{}/presigned?signature=s",
        listener.local_addr().unwrap()
    );
    let (sender, receiver) = mpsc::unbounded_channel();
    let router = Router::new().fallback(serve).with_state(sender);
    tokio::spawn(axum::serve(listener, router).into_future());
    (url, receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_audio_can_be_asked_for() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    let (url, mut requests) = storage().await;
    let fault = json!({ "operation": "file", "kind": "status", "status": 302, "headers": { "location": url } });
    app.upstream.fault(&fault).await;
    let path = format!("/v1/transcriptions/{id}/audio");
    let part = |range: &str| app.acme.request(Method::GET, &path).header("range", range);

    let answer = Answer::to(part("bytes=2-4")).await;
    assert_eq!((answer.status, answer.text().as_str()), (206, "234"));
    assert_eq!(answer.header("content-range"), Some("bytes 2-4/2000"));
    assert_eq!(answer.header("content-type"), Some("audio/mpeg"));
    assert_eq!(answer.header("etag"), Some("\"v1\""));
    assert_eq!(answer.header("content-length"), Some("3"));
    // The storage's other headers are its own affair.
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("x-amz-request-id"), None);
    // Whether it is still the same, nobody here knows.
    let answer = Answer::to(part("bytes=2-4").header("if-range", "\"v0\"")).await;
    assert_eq!((answer.status, answer.bytes.len()), (200, 2000));
    let answer = Answer::to(part("bytes=9000-")).await;
    assert_eq!(answer.status, 416);
    assert_eq!(answer.header("content-range"), Some("bytes */2000"));
    let whole = app.acme.request(Method::GET, &path);
    let answer = Answer::to(whole.header("accept-encoding", "zstd, gzip")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "0123456789".repeat(200));
    assert_eq!(answer.header("content-length"), Some("2000"));
    assert_eq!(answer.header("content-encoding"), None);

    for range in [Some("bytes=2-4"), None, Some("bytes=9000-"), None] {
        let headers = requests.recv().await.unwrap();
        assert_eq!(
            headers.get("range").map(|range| range.to_str().unwrap()),
            range
        );
        for secret in ["x-gladia-key", "authorization"] {
            assert!(
                !headers.contains_key(secret),
                "{secret} reached the storage"
            );
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_that_gladia_does_not_have_yet_or_any_more_is_told_apart() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let id = app.acme.start("a.mp3").await;
    let path = format!("/v1/transcriptions/{id}/audio");
    app.acme.get(&path).await.problem(409, "audio-not-ready");
    app.resume_dispatch().await;
    app.acme.wait_until_done(&id).await;
    // Of synthetic audio the simulator keeps no file, like Gladia after its retention.
    app.acme.get(&path).await.problem(404, "audio-not-found");
    // What has ended without Gladia is not to be asked for again.
    app.pause_dispatch().await;
    let canceled = app.acme.start("b.mp3").await;
    app.acme.cancel(&canceled).await.expect(200);
    let of_canceled = format!("/v1/transcriptions/{canceled}/audio");
    let answer = app.acme.get(&of_canceled).await;
    answer.problem(404, "audio-not-found");
    app.resume_dispatch().await;
    for (fault, status, slug) in [
        (
            json!({ "kind": "status", "status": 500 }),
            503,
            "upstream-unavailable",
        ),
        (
            json!({ "kind": "drop_before" }),
            503,
            "upstream-unavailable",
        ),
        (
            json!({ "kind": "status", "status": 401 }),
            503,
            "upstream-unavailable",
        ),
        (
            json!({ "kind": "status", "status": 302 }),
            502,
            "upstream-failed",
        ),
        (
            json!({ "kind": "status", "status": 302, "headers": { "location": "file:///etc/passwd" } }),
            502,
            "upstream-failed",
        ),
        // A redirect that leads to itself.
        (
            json!({ "kind": "status", "status": 302, "headers": { "location": "?" } }),
            502,
            "upstream-failed",
        ),
    ] {
        let mut fault = fault;
        fault["operation"] = json!("file");
        app.upstream.fault(&fault).await;
        let answer = app.acme.get(&path).await;
        assert_eq!(answer.status, status, "{fault}: {}", answer.text());
        assert!(
            !answer.text().contains("kept"),
            "a read keeps nothing anyway"
        );
        answer.problem(status, slug);
    }
    app.finish().await;
}
