//! `COMPLETION=poll`: a machine that Gladia cannot reach.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{
    TestApp,
    builder::Builder,
    database, eventually,
    upstream::{self, Upstream},
};

/// A proxy that nobody has.
const NOBODY: &str = "http://127.0.0.1:9";

/// A gateway without any public address.
fn builder() -> Builder {
    TestApp::builder()
        .set("COMPLETION", "poll")
        .set("PUBLIC_URL", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_done_without_any_callback() {
    let app = builder().start().await;
    let id = app.acme.start("spoken.mp3").await;
    let job = app.acme.wait_until_done(&id).await;
    assert_eq!(
        job["result"]["transcription"]["full_transcript"],
        "Good morning from the harbour"
    );
    assert_eq!(
        app.acme.result(&id).await.bytes,
        app.result_at_gladia(&id).await
    );
    let sent = &app.create_bodies().await[0];
    for name in ["callback", "callback_config", "callback_url"] {
        assert_eq!(sent[name], Value::Null, "{sent}");
    }
    assert_eq!(app.gets().await, 1);
    assert_eq!(app.upstream.count("callbacks_sent").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_takes_its_time_is_asked_for_again_within_seconds() {
    let app = builder().start().await;
    let id = app.acme.start("endless.mp3").await;
    let rests = app.wait_for_looks(&id, 1).await;
    assert!((1.0..=3.75).contains(&rests), "{rests}");
    app.set_clock_ahead("5 seconds").await;
    let rests = app.wait_for_looks(&id, 2).await;
    assert!((4.0..=7.5).contains(&rests), "{rests}");
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_comes_with_its_code() {
    let app = builder().start().await;
    let id = app.acme.start("failing.mp3").await;
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["code"], 422);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_is_asked_for_is_one_whatever_its_code_looks_like() {
    let app = builder().start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let gladia_id = app.attempt(&id).await.gladia_id.unwrap();
    let body = format!(
        r#"{{"id":"{gladia_id}","status":"error","error":"text","error_code":null,"error_code":"422"}}"#
    );
    let fault = json!({ "operation": "get", "kind": "status", "status": 200, "body": body });
    app.upstream.fault(&fault).await;
    app.set_clock_ahead("5 seconds").await;
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["type"], "transcription_failed");
    assert_eq!(job["error"]["code"], 422);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_without_and_with_callbacks_share_a_database() {
    let mut app = builder().start().await;
    let public_url = format!("http://{}/", app.front.address());
    app.add_replica(&[("COMPLETION", "callback"), ("PUBLIC_URL", &public_url)])
        .await;
    for _ in 0..4 {
        let id = app.acme.start("a.mp3").await;
        app.acme.wait_until_done(&id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_for_what_gladia_does_not_keep_is_refused_at_the_start() {
    let mut app = TestApp::start().await;
    let refused = app
        .try_replica(&[
            ("COMPLETION", "poll"),
            ("GLADIA_ZERO_DATA_RETENTION", "true"),
        ])
        .await;
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("COMPLETION=poll"), "{message}");
    let body = json!({ "audio_url": "https://audio.example/a.mp3" });
    let id = app.acme.transcribe(&body).await.expect(202)["id"].clone();
    app.acme.wait_until_done(id.as_str().unwrap()).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_with_a_key_asks_the_real_gladia_for_its_results() {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let upstream = Upstream::start(upstream::settings(), http).await;
    let name = database::create(false).await;
    let server = database::server().await;
    let demo = Command::new(env!("CARGO_BIN_EXE_gladia-gateway"))
        .args(["demo", "--once"])
        .env_clear()
        // Where no developer has a `.env`.
        .current_dir("/")
        .env("DATABASE_URL", server.url(&name))
        .env("GLADIA_API_KEY", upstream::GLADIA_KEY)
        .env("GLADIA_API_URL", upstream.simulator.url().as_str())
        // What is on this machine is not asked for there.
        .env("HTTP_PROXY", NOBODY)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let (said, shown) = (
        String::from_utf8_lossy(&demo.stderr),
        String::from_utf8_lossy(&demo.stdout),
    );
    assert!(demo.status.success(), "{said}");
    assert!(shown.contains("support-call.ogg"), "{shown}");
    assert!(said.contains(upstream.simulator.url().as_str()), "{said}");
    assert!(!said.contains(upstream::GLADIA_KEY), "{said}");
    let job = &upstream.jobs().await[0];
    assert_eq!(job["callback_url"], Value::Null);
    assert!(upstream.count("gets").await >= 1);
    upstream.simulator.shutdown().await;
    server.drop_database(&name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_time_ended_while_gladia_was_away_is_asked_for_until_gladia_is_back() {
    let app = builder().start().await;
    app.upstream
        .fault(&json!({ "operation": "get", "kind": "status", "status": 503 }))
        .await;
    let id = app.acme.start("a.mp3").await;
    app.wait_for_attempt(&id, "accepted").await;
    // As often as it is asked for within its time.
    app.execute("UPDATE attempts SET looks = 300").await;
    app.set_clock_ahead("3 hours").await;
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["type"], "result_missing");
    for (looks, ahead) in [(302, "3 hours 1 minute"), (303, "20 hours")] {
        app.set_clock_ahead(ahead).await;
        app.wait_for_looks(&id, looks).await;
    }
    app.upstream.clear_faults().await;
    app.set_clock_ahead("20 hours 1 minute").await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_time_ended_is_not_asked_for_for_ever() {
    let app = builder().start().await;
    app.upstream
        .fault(&json!({ "operation": "get", "kind": "status", "status": 503 }))
        .await;
    let id = app.acme.start("a.mp3").await;
    app.wait_for_attempt(&id, "accepted").await;
    app.execute("UPDATE attempts SET looks = 300").await;
    app.set_clock_ahead("3 hours").await;
    app.acme.wait_until(&id, "error").await;
    app.set_clock_ahead("30 hours").await;
    eventually("attempt that is asked for no more", async || {
        let rests: bool = app
            .scalar("SELECT next_look_at IS NULL FROM attempts")
            .await;
        rests.then_some(())
    })
    .await;
    app.finish().await;
}
