//! Files that do not arrive whole, or not in time, or are too large; and a Gladia that does not take them.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Answer, BOUND, TestApp, audio, eventually, trickle};

const UPLOAD: &str = "/v1/transcriptions/upload";

/// What stands before a file.
const FILE: &str =
    "--b\r\ncontent-disposition: form-data; name=\"audio\"; filename=\"a.wav\"\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_is_refused_by_its_declared_length() {
    let app = TestApp::builder()
        .set("MAX_UPLOAD_BYTES", 1000)
        .set("MAX_REQUEST_BYTES", 1000)
        .start()
        .await;
    let form = Form::new().part("audio", Part::bytes(vec![7; 200_000]).file_name("a.wav"));
    let answer = Answer::to(app.acme.form(UPLOAD, form)).await;
    answer.violation(413, "payload-too-large", "/audio");
    assert_eq!(app.upstream.count("uploads").await, 0);
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_is_refused_by_counting() {
    let app = TestApp::builder()
        .set("MAX_UPLOAD_BYTES", 1_000_000)
        .start()
        .await;
    let whole = audio::wav(10.0, 44_100, 2);
    let (begin, rest) = whole.split_at(500_000);
    for (number, path) in [(1, UPLOAD), (2, "/v1/uploads")] {
        let (trickle, body) = trickle();
        let form = Form::new().part("audio", Part::stream(body).file_name("a.wav"));
        let pending = tokio::spawn(Answer::to(app.acme.form(path, form)));
        trickle.send(begin).await;
        app.upstream.wait_for("uploads", number).await;
        trickle.send(rest).await;
        let answer = pending.await.unwrap();
        answer.violation(413, "payload-too-large", "/audio");
    }
    // What had gone to Gladia was broken off there, and is no file.
    app.upstream.wait_for("uploads_interrupted", 2).await;
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_is_broken_off_at_gladia_too() {
    let app = TestApp::start().await;
    let whole = audio::wav(4.0, 8_000, 1);
    let mut stream = TcpStream::connect(app.replicas[0].address).await.unwrap();
    let head = format!(
        "POST {UPLOAD} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\nidempotency-key: file-1\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n\
         --b\r\ncontent-disposition: form-data; name=\"audio\"; filename=\"a.wav\"\r\n\r\n",
        app.acme.key.as_ref().unwrap(),
        whole.len() + 1000,
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&whole[..20_000]).await.unwrap();
    app.upstream.wait_for("uploads", 1).await;
    drop(stream);
    app.upstream.wait_for("uploads_interrupted", 1).await;
    eventually("key that is given back", async || {
        (app.rows("idempotency_keys").await == 0).then_some(())
    })
    .await;
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_its_closing_boundary_makes_no_job() {
    let app = TestApp::start().await;
    let mut begin = FILE.as_bytes().to_vec();
    begin.extend(audio::short());
    // The body ends as HTTP has it. In the first the file does not end as the form has it; in the second the form.
    for (number, end, told) in [
        (1, "", "the body ended within the part `audio`"),
        (2, "\r\n--b", "neither another part nor the form's end"),
    ] {
        let (trickle, body) = trickle();
        let request = app
            .acme
            .raw(UPLOAD, "multipart/form-data; boundary=b", body)
            .header("idempotency-key", "file-1");
        let pending = tokio::spawn(Answer::to(request));
        trickle.send(&begin).await;
        app.upstream.wait_for("uploads", number).await;
        trickle.send(end.as_bytes()).await;
        drop(trickle);
        let problem = pending.await.unwrap().problem(400, "invalid-form");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(told), "{detail}");
        assert_eq!(app.rows("idempotency_keys").await, 0);
    }
    app.upstream.wait_for("uploads_interrupted", 1).await;
    assert_eq!((app.rows("jobs").await, app.rows("uploads").await), (0, 0));
    assert_eq!(app.upstream.count("creates_received").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_body_that_breaks_off_is_to_be_sent_again() {
    let app = TestApp::start().await;
    let key = app.acme.key.as_ref().unwrap();
    let within = [FILE.as_bytes(), &audio::short()].concat();
    let behind = [&within, b"\r\n--b".as_slice()].concat();
    for (path, authority) in [
        (UPLOAD, "idempotency-key: file-1\r\nauthorization: Bearer"),
        ("/v1/uploads", "authorization: Bearer"),
        ("/v2/upload", "x-gladia-key:"),
    ] {
        for arrived in [b"", &FILE.as_bytes()[..20], &within, &behind] {
            let declared = format!("content-length: {}", arrived.len());
            let chunked = "transfer-encoding: chunked".to_owned();
            let chunks = |end: &[u8]| [&*chunk(arrived), end].concat();
            for (framing, body, told) in [
                // As declared, or with the last chunk, it is all that was to come.
                (declared, arrived.to_vec(), "cannot be read"),
                (chunked.clone(), chunks(b"0\r\n\r\n"), "cannot be read"),
                // Somebody on the way has lost what was to come.
                (chunked, chunks(b"no chunk\r\n"), "broke off"),
            ] {
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n{authority} {key}\r\n\
                     content-type: multipart/form-data; boundary=b\r\n{framing}\r\n\r\n"
                );
                let answer = answer_to_all_of(&app, &[head.as_bytes(), &body].concat()).await;
                let case = format!("{path}, {framing}, {} bytes: {answer}", arrived.len());
                assert!(answer.starts_with("HTTP/1.1 400 "), "{case}");
                assert!(answer.contains(told), "{case}");
                let is_to_be_repeated = told == "broke off";
                assert_eq!(answer.contains("repeat"), is_to_be_repeated, "{case}");
                if path != "/v2/upload" {
                    let slug = if is_to_be_repeated {
                        "upload-interrupted"
                    } else {
                        "invalid-form"
                    };
                    assert!(answer.contains(&format!("problem:{slug}\"")), "{case}");
                }
                assert_eq!(app.rows("idempotency_keys").await, 0, "{case}");
            }
        }
    }
    assert_eq!((app.rows("jobs").await, app.rows("uploads").await), (0, 0));
    app.finish().await;
}

/// A body's chunk, if there is anything in it.
fn chunk(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let size = format!("{:x}\r\n", bytes.len());
    [size.as_bytes(), bytes, b"\r\n"].concat()
}

/// What is answered to somebody who sends this and waits.
async fn answer_to_all_of(app: &TestApp, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(app.replicas[0].address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(BOUND, stream.read_to_string(&mut answer)).await;
    read.expect("an answer in time").unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gladia_that_fails_keeps_nothing() {
    let app = TestApp::start().await;
    for (fault, status, slug) in [
        (
            json!({ "kind": "drop_before" }),
            503,
            "upstream-unavailable",
        ),
        (json!({ "kind": "drop_after" }), 503, "upstream-unavailable"),
        (
            json!({ "kind": "status", "status": 500 }),
            503,
            "upstream-unavailable",
        ),
        (
            json!({ "kind": "status", "status": 429 }),
            503,
            "upstream-unavailable",
        ),
        (
            json!({ "kind": "status", "status": 401 }),
            503,
            "upstream-unavailable",
        ),
        (
            json!({ "kind": "status", "status": 502, "body": "<html>Bad gateway</html>" }),
            503,
            "upstream-unavailable",
        ),
        (
            json!({ "kind": "status", "status": 413 }),
            413,
            "payload-too-large",
        ),
        (
            json!({ "kind": "status_after", "status": 200, "body": "{}" }),
            502,
            "upstream-failed",
        ),
        (
            json!({ "kind": "status_after", "status": 200, "body": "{\"audio_url\": \"nonsense\"}" }),
            502,
            "upstream-failed",
        ),
        (
            json!({ "kind": "status", "status": 302, "headers": { "location": "/" } }),
            502,
            "upstream-failed",
        ),
    ] {
        let mut fault = fault;
        fault["operation"] = json!("upload");
        app.upstream.fault(&fault).await;
        let answer = app.acme.upload(audio::short(), "a.wav", None).await;
        assert_eq!(answer.status, status, "{fault}: {}", answer.text());
        // Gladia's own refusal of a file says as much.
        let says_so = answer.text().contains("Nothing was kept.");
        assert_eq!(says_so, status >= 500, "{fault}: {}", answer.text());
        answer.problem(status, slug);
    }
    assert_eq!((app.rows("jobs").await, app.rows("uploads").await), (0, 0));
    assert_eq!(app.upstream.count("creates_received").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_gladia_takes_files_again_is_passed_on() {
    let app = TestApp::start().await;
    for (status, said, told) in [
        (429, "120", "120"),
        (503, "1.5", "2"),
        (503, "4000", "300"),
        (503, "soon", "10"),
        (500, "120", "10"),
    ] {
        let fault = json!({ "operation": "upload", "kind": "status", "status": status, "headers": { "retry-after": said } });
        app.upstream.fault(&fault).await;
        let answer = app.acme.upload(audio::short(), "a.wav", None).await;
        answer.problem(503, "upstream-unavailable");
        assert_eq!(answer.header("retry-after"), Some(told), "{fault}");
    }
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gladia_that_is_away_keeps_nothing() {
    let app = TestApp::builder().with_gladia_relay().start().await;
    app.gladia().cut().await;
    let answer = app.acme.upload(audio::short(), "a.wav", None).await;
    answer.problem(503, "upstream-unavailable");
    assert!(answer.header("retry-after").is_some());
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gladia_that_takes_too_long_keeps_nothing() {
    let app = TestApp::builder()
        .set("GLADIA_UPLOAD_TIMEOUT_SECONDS", 1)
        .start()
        .await;
    let fault = json!({ "operation": "upload", "kind": "delay", "milliseconds": 5000 });
    app.upstream.fault(&fault).await;
    let answer = app.acme.upload(audio::short(), "a.wav", None).await;
    answer.problem(502, "upstream-failed");
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_falls_silent_is_not_waited_for() {
    let app = TestApp::builder()
        .set("UPLOAD_IDLE_TIMEOUT_SECONDS", 1)
        .start()
        .await;
    let (trickle, body) = trickle();
    let form = Form::new().part("audio", Part::stream(body).file_name("a.wav"));
    let pending = tokio::spawn(Answer::to(app.acme.form(UPLOAD, form)));
    trickle.send(&audio::short()[..1000]).await;
    let answer = pending.await.unwrap();
    answer.problem(408, "request-timeout");
    drop(trickle);
    app.upstream.wait_for("uploads_interrupted", 1).await;
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_is_answered_although_the_caller_still_sends() {
    let app = TestApp::builder()
        .set("MAX_UPLOAD_BYTES", 1000)
        .start()
        .await;
    // A client that reads the answer only once it has sent everything.
    let mut stream = TcpStream::connect(app.replicas[0].address).await.unwrap();
    let length = 3_000_000;
    let head = format!(
        "POST {UPLOAD} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\nconnection: close\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: {length}\r\n\r\n",
        app.acme.key.as_ref().unwrap(),
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..30 {
        stream.write_all(&vec![b'x'; length / 30]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("payload-too-large"), "{answer}");
    app.finish_with_nothing_kept().await;
}
