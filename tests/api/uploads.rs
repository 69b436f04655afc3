//! Files: whole, broken, late, too large, and unwanted.

use std::time::Duration;

use reqwest::{
    Body, Method, RequestBuilder,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Answer, Caller, TestApp, audio, eventually, trickle};

const UPLOAD: &str = "/v1/transcriptions/upload";

/// A file in one part.
fn file(bytes: impl Into<std::borrow::Cow<'static, [u8]>>) -> Part {
    Part::bytes(bytes).file_name("a.wav")
}

fn options(options: &Value) -> Part {
    Part::text(options.to_string())
}

/// A request with a body that is written by hand.
fn raw(caller: &Caller, path: &str, content_type: &str, body: impl Into<Body>) -> RequestBuilder {
    caller
        .request(Method::POST, path)
        .header("content-type", content_type)
        .body(body)
}

/// Nothing came of it: no rows here, no file and no job there.
async fn nothing_was_kept(app: TestApp) {
    for table in ["jobs", "uploads", "idempotency_keys"] {
        assert_eq!(app.rows(table).await, 0, "{table}");
    }
    assert_eq!(app.upstream.count("uploads_accepted").await, 0);
    assert_eq!(app.upstream.count("creates_received").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_may_come_before_the_file_or_after_it() {
    let app = TestApp::start().await;
    let wanted = json!({ "diarization": true });
    let before = Form::new()
        .part("options", options(&wanted))
        .part("audio", file(audio::short()));
    let after = Form::new()
        .part("audio", file(audio::short()))
        .part("options", options(&wanted));
    for form in [before, after] {
        let job = Answer::to(app.acme.form(UPLOAD, form)).await.expect(202);
        assert_eq!(job["options"], wanted);
        app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_can_be_uploaded_once_and_transcribed_twice() {
    let app = TestApp::start().await;
    let bytes = audio::wav(2.0, 16_000, 1);
    let form = Form::new().part("audio", file(bytes.clone()));
    let upload = Answer::to(app.acme.form("/v1/uploads", form))
        .await
        .expect(201);
    assert_eq!(upload["filename"], "a.wav");
    assert_eq!(upload["extension"], "wav");
    assert_eq!(upload["size_bytes"], bytes.len());
    assert_eq!(upload["audio_duration_seconds"], 2.0);
    assert_eq!(upload["number_of_channels"], 1);
    for _ in 0..2 {
        let body = json!({ "audio_url": upload["audio_url"] });
        let job = app.acme.transcribe(&body).await.expect(202);
        assert_eq!(job["file"]["filename"], "a.wav");
        assert_eq!(job["audio_duration_seconds"], 2.0);
        app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    }
    assert_eq!(app.upstream.count("uploads").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_cannot_be_used_are_refused_by_the_part() {
    let app = TestApp::start().await;
    let cases = [
        (
            Form::new().part("options", options(&json!({}))),
            "invalid-form",
            "/audio",
        ),
        (
            Form::new()
                .part("sound", file(audio::short()))
                .part("audio", file(audio::short())),
            "invalid-form",
            "/sound",
        ),
        (
            Form::new()
                .part("options", options(&json!({})))
                .part("options", options(&json!({})))
                .part("audio", file(audio::short())),
            "invalid-form",
            "/options",
        ),
        (
            Form::new().part("audio", file(Vec::new())),
            "empty-file",
            "/audio",
        ),
    ];
    for (form, slug, pointer) in cases {
        let answer = Answer::to(app.acme.form(UPLOAD, form)).await;
        answer.violation(400, slug, pointer);
    }
    let empty = raw(
        &app.acme,
        UPLOAD,
        "multipart/form-data; boundary=b",
        "--b--\r\n",
    );
    let answer = Answer::to(empty).await;
    answer.violation(400, "invalid-form", "/audio");
    // Files alone have no options.
    let form = Form::new()
        .part("options", options(&json!({})))
        .part("audio", file(audio::short()));
    let answer = Answer::to(app.acme.form("/v1/uploads", form)).await;
    answer.violation(400, "invalid-form", "/options");
    nothing_was_kept(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_file_in_a_form_is_refused() {
    let app = TestApp::start().await;
    let form = Form::new()
        .part("audio", file(audio::short()))
        .part("audio", file(audio::short()));
    let answer = Answer::to(app.acme.form(UPLOAD, form)).await;
    answer.violation(400, "invalid-form", "/audio");
    assert_eq!((app.rows("jobs").await, app.rows("uploads").await), (0, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_form_is_refused() {
    let app = TestApp::start().await;
    for (content_type, status, slug) in [
        ("application/json", 415, "unsupported-media-type"),
        ("audio/wav", 415, "unsupported-media-type"),
        ("multipart/mixed; boundary=b", 415, "unsupported-media-type"),
        ("multipart/form-data", 400, "invalid-form"),
        ("multipart/form-data; boundary=", 400, "invalid-form"),
        // A boundary that the body does not have.
        (
            "multipart/form-data; boundary=other",
            400,
            "upload-interrupted",
        ),
    ] {
        let request = raw(
            &app.acme,
            UPLOAD,
            content_type,
            "--b\r\n\r\nwords\r\n--b--\r\n",
        );
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, status, "{content_type}: {}", answer.text());
        answer.problem(status, slug);
    }
    let request = app.acme.request(Method::POST, UPLOAD).body("words");
    Answer::to(request)
        .await
        .problem(415, "unsupported-media-type");
    nothing_was_kept(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_a_form_are_checked_like_any_other() {
    let app = TestApp::start().await;
    for (text, slug, status) in [
        ("{", "malformed-json", 400),
        ("[]", "malformed-json", 400),
        ("", "malformed-json", 400),
        ("\"diarization\"", "malformed-json", 400),
    ] {
        let form = Form::new()
            .text("options", text)
            .part("audio", file(audio::short()));
        let answer = Answer::to(app.acme.form(UPLOAD, form)).await;
        answer.problem(status, slug);
    }
    let wrong = json!({ "diarisation": true });
    let form = Form::new()
        .part("options", options(&wrong))
        .part("audio", file(audio::short()));
    let answer = Answer::to(app.acme.form(UPLOAD, form)).await;
    let rule = answer.violation(422, "invalid-request", "/options/diarisation");
    assert!(rule.contains("diarization"), "{rule}");
    let wrong = json!({ "audio_url": "https://audio.example/a.mp3" });
    let form = Form::new()
        .part("options", options(&wrong))
        .part("audio", file(audio::short()));
    let answer = Answer::to(app.acme.form(UPLOAD, form)).await;
    answer.violation(422, "invalid-request", "/options/audio_url");
    // Options that come first are checked before a byte of the file goes anywhere.
    assert_eq!(app.upstream.count("uploads").await, 0);
    nothing_was_kept(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_behind_the_file_that_break_a_rule_leave_no_job() {
    let app = TestApp::start().await;
    let form = Form::new()
        .part("audio", file(audio::short()))
        .part("options", options(&json!({ "diarization": "yes" })));
    let answer = Answer::to(app.acme.form(UPLOAD, form)).await;
    answer.violation(422, "invalid-request", "/options/diarization");
    assert_eq!((app.rows("jobs").await, app.rows("uploads").await), (0, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_is_refused_by_its_declared_length() {
    let app = TestApp::builder()
        .set("MAX_UPLOAD_BYTES", 1000)
        .set("MAX_REQUEST_BYTES", 1000)
        .start()
        .await;
    let form = Form::new().part("audio", file(vec![7; 200_000]));
    let answer = Answer::to(app.acme.form(UPLOAD, form)).await;
    answer.violation(413, "payload-too-large", "/audio");
    assert_eq!(app.upstream.count("uploads").await, 0);
    nothing_was_kept(app).await;
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
    nothing_was_kept(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_exactly_the_limit_is_accepted() {
    let whole = audio::short();
    let app = TestApp::builder()
        .set("MAX_UPLOAD_BYTES", whole.len())
        .start()
        .await;
    let job = app.acme.upload(whole, "a.wav", None).await.expect(202);
    app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    app.finish().await;
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
    nothing_was_kept(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_its_closing_boundary_makes_no_job() {
    let app = TestApp::start().await;
    let mut begin =
        b"--b\r\ncontent-disposition: form-data; name=\"audio\"; filename=\"a.wav\"\r\n\r\n"
            .to_vec();
    begin.extend(audio::short());
    // The body ends as HTTP has it. In the first the file does not end as the form has it; in the second the form.
    for (number, end) in [(1, ""), (2, "\r\n--b")] {
        let (trickle, body) = trickle();
        let request = raw(&app.acme, UPLOAD, "multipart/form-data; boundary=b", body);
        let pending = tokio::spawn(Answer::to(request));
        trickle.send(&begin).await;
        app.upstream.wait_for("uploads", number).await;
        trickle.send(end.as_bytes()).await;
        drop(trickle);
        let answer = pending.await.unwrap();
        answer.problem(400, "upload-interrupted");
    }
    app.upstream.wait_for("uploads_interrupted", 1).await;
    assert_eq!((app.rows("jobs").await, app.rows("uploads").await), (0, 0));
    assert_eq!(app.upstream.count("creates_received").await, 0);
    app.finish().await;
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
        answer.problem(status, slug);
    }
    assert_eq!((app.rows("jobs").await, app.rows("uploads").await), (0, 0));
    assert_eq!(app.upstream.count("creates_received").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gladia_that_is_away_keeps_nothing() {
    let app = TestApp::builder().with_gladia_relay().start().await;
    app.gladia().cut().await;
    let answer = app.acme.upload(audio::short(), "a.wav", None).await;
    answer.problem(503, "upstream-unavailable");
    assert!(answer.header("retry-after").is_some());
    nothing_was_kept(app).await;
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
    nothing_was_kept(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_audio_is_refused_in_gladias_words() {
    let app = TestApp::start().await;
    let answer = app
        .acme
        .upload(b"Dear Sir or Madam".to_vec(), "letter.txt", None)
        .await;
    let problem = answer.problem(422, "file-refused");
    assert!(
        problem["detail"].as_str().unwrap().contains("media"),
        "{problem}"
    );
    nothing_was_kept(app).await;
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
    nothing_was_kept(app).await;
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
    nothing_was_kept(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_name_is_only_a_name() {
    let app = TestApp::start().await;
    let job = app
        .acme
        .upload(audio::short(), "../../etc/pass\"wd été.wav", None)
        .await
        .expect(202);
    let filename = job["file"]["filename"].as_str().unwrap();
    assert!(!filename.contains(['/', '"']), "{filename}");
    assert!(filename.ends_with(".wav"), "{filename}");
    app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    app.finish().await;
}
