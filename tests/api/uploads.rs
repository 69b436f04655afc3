//! Files that arrive whole: with their options, or with what is wrong with them.

use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, audio};

const UPLOAD: &str = "/v1/transcriptions/upload";

/// A file in one part.
fn file(bytes: impl Into<std::borrow::Cow<'static, [u8]>>) -> Part {
    Part::bytes(bytes).file_name("a.wav")
}

fn options(options: &Value) -> Part {
    Part::text(options.to_string())
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
async fn a_file_that_gladia_has_is_taken_whatever_gladia_says_of_it() {
    let app = TestApp::start().await;
    let answer = json!({
        "audio_url": "https://api.example/file/0199a1b2-0000-7000-8000-000000000000",
        "audio_metadata": {
            "filename": 7, "extension": null, "size": 295_020.0, "audio_duration": "9.2", "number_of_channels": [1],
        },
    });
    let fault = json!({ "operation": "upload", "kind": "status_after", "status": 200, "body": answer.to_string() });
    app.upstream.fault(&fault).await;
    let form = Form::new().part("audio", file(audio::short()));
    let upload = Answer::to(app.acme.form("/v1/uploads", form))
        .await
        .expect(201);
    assert_eq!(upload["filename"], "a.wav");
    assert_eq!(upload["audio_duration_seconds"], 9.2);
    assert_eq!(upload["number_of_channels"], Value::Null);

    let by_url = app
        .acme
        .as_gladias_client(Method::POST, "/v2/upload")
        .json(&json!({ "audio_url": "https://audio.example/a.wav" }));
    let upload = Answer::to(by_url).await.expect(200);
    assert_eq!(upload["audio_metadata"]["size"], 295_020);
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
    let empty = app
        .acme
        .raw(UPLOAD, "multipart/form-data; boundary=b", "--b--\r\n");
    let answer = Answer::to(empty).await;
    answer.violation(400, "invalid-form", "/audio");
    // Files alone have no options.
    let form = Form::new()
        .part("options", options(&json!({})))
        .part("audio", file(audio::short()));
    let answer = Answer::to(app.acme.form("/v1/uploads", form)).await;
    answer.violation(400, "invalid-form", "/options");
    app.finish_with_nothing_kept().await;
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
        ("multipart/form-data; boundary=other", 400, "invalid-form"),
    ] {
        let request = app
            .acme
            .raw(UPLOAD, content_type, "--b\r\n\r\nwords\r\n--b--\r\n");
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, status, "{content_type}: {}", answer.text());
        answer.problem(status, slug);
    }
    let request = app.acme.request(Method::POST, UPLOAD).body("words");
    Answer::to(request)
        .await
        .problem(415, "unsupported-media-type");
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_forms_wrongly_is_told_what_is_wrong() {
    let app = TestApp::start().await;
    let key = app.acme.key.as_ref().unwrap();
    let form = |boundary: &str, file: &str| {
        format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"audio\"\r\n\r\n{file}\r\n--{boundary}--\r\n"
        )
    };
    let large = format!("RIFF{}", "words".repeat(20_000));
    for (body, told) in [
        (String::new(), "it is empty."),
        ("words".to_owned(), "no part begins in it."),
        (form("c", "RIFF"), "no part begins in it."),
        (form("c", &large), "65536 bytes outside the contents"),
        (form("b", "RIFF").replace('\r', ""), "no part begins in it."),
        (
            form("b", "RIFF").replace("\r\n--b--", "\n--b--"),
            "the body ended within the part `audio`.",
        ),
        (
            form("b", "RIFF").replace("--b--", "--c--"),
            "the body ended within the part `audio`.",
        ),
    ] {
        for path in [UPLOAD, "/v1/uploads", "/v2/upload"] {
            let request = app
                .acme
                .raw(path, "multipart/form-data; boundary=b", body.clone())
                .header("x-gladia-key", key);
            let answer = Answer::to(request).await;
            let text = if path == "/v2/upload" {
                answer.envelope(400)["message"].clone()
            } else {
                answer.problem(400, "invalid-form")["detail"].clone()
            };
            let text = text.as_str().unwrap();
            assert!(text.contains(told), "{path}: {text}");
            for rule in ["the header Content-Type names", "lines end with CR LF"] {
                assert!(text.contains(rule), "{path}: {text}");
            }
        }
    }
    assert_eq!((app.rows("jobs").await, app.rows("uploads").await), (0, 0));
    app.finish().await;
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
    app.finish_with_nothing_kept().await;
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
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_name_counts_in_its_extended_form_and_in_any_case() {
    let app = TestApp::start().await;
    for (parameters, expected) in [
        (
            r#"name=audio; filename="=?utf-8?B?UsOpdW5pb24ubXAz?="; filename*=utf-8''R%C3%A9union.mp3"#,
            "Réunion.mp3",
        ),
        (
            r#"filename*=UTF-8'fr'a%20+%2Fb%3B%20c.mp3;name="audio""#,
            "b; c.mp3",
        ),
        (
            r#"name="audio"; filename="plain; filename*=utf-8''inner.mp3""#,
            "plain; filename*=utf-8''inner.mp3",
        ),
        (
            r#"NAME="audio"; FileName="in any case.mp3""#,
            "in any case.mp3",
        ),
        // What cannot be read leaves the plain name.
        (
            r#"name="audio"; filename="a.mp3"; filename*=iso-8859-1''R%E9union.mp3"#,
            "a.mp3",
        ),
        (
            r#"name="audio"; filename="a.mp3"; filename*=utf-8''R%E9union.mp3"#,
            "a.mp3",
        ),
    ] {
        let mut body = format!(
            "--b\r\nContent-Disposition: Form-Data; {parameters}\r\nContent-Type: audio/wav\r\n\r\n"
        )
        .into_bytes();
        body.extend(audio::short());
        body.extend(b"\r\n--b--\r\n");
        let request = app
            .acme
            .request(Method::POST, "/v1/uploads")
            .header("content-type", "multipart/form-data; boundary=b")
            .body(body);
        let upload = Answer::to(request).await.expect(201);
        assert_eq!(upload["filename"], expected, "{parameters}");
    }
    app.finish().await;
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
    assert!(filename.ends_with("été.wav"), "{filename}");
    app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    app.finish().await;
}
