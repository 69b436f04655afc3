//! What is known of audio before Gladia transcribes it: what is refused, and what is only warned of.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, audio};

const VALIDATE: &str = "/v1/transcriptions/validate";

/// A second more than two hours and a quarter, in few bytes.
fn too_long() -> Vec<u8> {
    audio::wav(8101.0, 8, 1)
}

/// The codes of the warnings, which must all stand at one place.
fn codes(answer: &Value, pointer: &str) -> Vec<String> {
    let warnings = answer["warnings"].as_array().unwrap();
    assert!(
        warnings.iter().all(|warning| warning["pointer"] == pointer),
        "{warnings:?}"
    );
    let code = |warning: &Value| warning["code"].as_str().unwrap().to_owned();
    warnings.iter().map(code).collect()
}

/// The fields at fault, in the order of their names.
fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().unwrap();
    let mut pointers: Vec<_> = errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    pointers
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_longer_than_the_plan_allows_is_refused_where_it_is_used() {
    let app = TestApp::start().await;
    let body = json!({ "audio_url": app.acme.keep(too_long(), "a.wav").await });
    let refused = app.acme.transcribe_once("order-7", &body).await;
    let rule = refused.violation(422, "invalid-request", "/audio_url");
    for part in [
        "2 h 15 min",
        "2 h 15 min 1 s",
        "`paid`",
        "Split it",
        "GLADIA_PLAN",
    ] {
        assert!(rule.contains(part), "{part} in {rule}");
    }
    // The file stays for whoever finds another use for it; the key is free again.
    assert_eq!((app.rows("uploads").await, app.rows("jobs").await), (1, 0));
    assert_eq!(app.rows("idempotency_keys").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_upload_is_fine_on_a_plan_that_allows_it() {
    let app = TestApp::builder()
        .set("GLADIA_PLAN", "enterprise")
        .start()
        .await;
    let body = json!({ "audio_url": app.acme.keep(too_long(), "a.wav").await });
    app.acme.post(VALIDATE, &body).await.expect(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_turns_out_to_be_too_long_makes_no_job_and_nothing_is_kept_of_it() {
    let app = TestApp::start().await;
    let send = async |file: Vec<u8>| {
        let request = app.acme.upload_request(file, "a.wav", None);
        Answer::to(request.header("Idempotency-Key", "file-1")).await
    };
    let refused = send(too_long()).await;
    let rule = refused.violation(422, "invalid-request", "/audio");
    assert!(rule.contains("it is 2 h 15 min 1 s long"), "{rule}");
    for table in ["jobs", "uploads", "idempotency_keys"] {
        assert_eq!(app.rows(table).await, 0, "{table}");
    }
    // The parts can be sent under the same key.
    let job = send(audio::short()).await.expect(202);
    app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_may_expire_before_it_is_fetched_is_warned_of_by_the_databases_clock() {
    let app = TestApp::start().await;
    let now: DateTime<Utc> = app.scalar("SELECT gateway_now()").await;
    let expires_at = now + TimeDelta::hours(10);
    let body = json!({ "audio_url": format!(
        "https://audio.example/a.mp3?AWSAccessKeyId=key&Signature=secret&Expires={}", expires_at.timestamp()
    )});
    let mut messages = Vec::new();
    for (ahead, warnings) in [
        ("0 hours", Vec::new()),
        ("8 hours", vec!["url_expires"]),
        ("11 hours", vec!["url_expires"]),
    ] {
        app.set_clock_ahead(ahead).await;
        let job = app.acme.transcribe(&body).await.expect(202);
        assert_eq!(codes(&job, "/audio_url"), warnings, "{ahead}");
        messages.extend(job["warnings"].as_array().unwrap().clone());
        // It is no more than a warning.
        let done = app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
        assert_eq!(done["warnings"], job["warnings"]);
    }
    let instant = expires_at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    for (warning, told) in messages.iter().zip(["expires at", "expired at"]) {
        let message = warning["message"].as_str().unwrap();
        assert!(message.contains(&format!("{told} {instant}")), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_gladia_does_not_take_for_one_is_refused() {
    let app = TestApp::start().await;
    for url in [
        "https:/audio.example/a.mp3",
        "https:audio.example/a.mp3",
        r"https:\\audio.example\a.mp3",
        "https:///audio.example/a.mp3",
        "https://audio.example/a b.mp3",
        "https://audio.example/<a>.mp3",
    ] {
        let body = json!({ "audio_url": url });
        for path in [VALIDATE, "/v1/transcriptions"] {
            let refused = app.acme.post(path, &body).await;
            refused.violation(422, "invalid-request", "/audio_url");
        }
        let refused = app.acme.v2_create(&body).await.envelope(400);
        let errors = json!(["audio_url must be a URL address"]);
        assert_eq!(refused["validation_errors"], errors, "{url}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_known_of_a_link_is_warned_of() {
    let app = TestApp::start().await;
    for (url, warnings) in [
        (
            "https://www.youtube.com/watch?v=abc",
            vec!["may_be_too_long"],
        ),
        ("https://audio.example/a.webm", vec!["not_documented"]),
        ("http://192.168.1.20/a.mp3", vec!["url_out_of_reach"]),
        ("https://recordings/a.mp3", vec!["not_documented"]),
        ("https://my_bucket.example/a.mp3", vec!["not_documented"]),
        ("https://audio.example/a.mp3", vec![]),
    ] {
        let body = json!({ "audio_url": url });
        let checked = app.acme.post(VALIDATE, &body).await.expect(200);
        assert_eq!(codes(&checked, "/audio_url"), warnings, "{url}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_a_format_that_gladia_does_not_list_is_warned_of_where_it_stands() {
    let app = TestApp::start().await;
    let sent = app.acme.upload(audio::short(), "a.webm", None).await;
    let sent = sent.expect(202);
    assert_eq!(codes(&sent, "/audio"), ["not_documented"]);
    let body = json!({ "audio_url": app.acme.keep(audio::short(), "b.webm").await });
    let used = app.acme.transcribe(&body).await.expect(202);
    assert_eq!(codes(&used, "/audio_url"), ["not_documented"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_audio_and_options_is_told_together() {
    let app = TestApp::start().await;
    let long = app.acme.keep(too_long(), "a.wav").await;
    let theirs = app.globex.keep(audio::short(), "b.wav").await;
    for (audio_url, also) in [
        (json!(long), true),
        (json!(theirs), true),
        (json!("ftp://audio.example/a.mp3"), true),
        (json!(7), true),
        (json!("https://audio.example/a.mp3"), false),
    ] {
        let body = json!({ "audio_url": audio_url, "diarisation": true, "model": "solaria-9" });
        for path in ["/v1/transcriptions", VALIDATE] {
            let problem = app.acme.post(path, &body).await;
            let problem = problem.problem(422, "invalid-request");
            let mut expected = vec!["/diarisation", "/model"];
            if also {
                expected.insert(0, "/audio_url");
            }
            assert_eq!(pointers(&problem), expected, "{audio_url}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.starts_with(&expected.len().to_string()), "{detail}");
        }
    }
    assert_eq!(app.rows("jobs").await, 0);
    app.finish().await;
}
