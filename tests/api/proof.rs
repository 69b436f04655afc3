//! `VERIFY_CALLBACKS=fetch`: a success is believed only once Gladia says the same when it is asked.

use serde_json::json;

use crate::support::{
    TestApp, eventually,
    rows::{failure, success},
};

async fn start() -> TestApp {
    TestApp::builder()
        .set("VERIFY_CALLBACKS", "fetch")
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_is_served_as_gladia_gives_it_when_asked() {
    let app = start().await;
    let id = app.acme.start("spoken.mp3").await;
    let job = app.acme.wait_until_done(&id).await;
    assert_eq!(
        job["result"]["transcription"]["full_transcript"],
        "Good morning from the harbour"
    );
    assert_eq!(
        app.callback_outcomes(&id).await,
        ["superseded", "completed"]
    );
    assert_eq!(app.upstream.count("gets").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_gladia_does_not_confirm_completes_nothing() {
    let app = start().await;
    let id = app.acme.start("endless.mp3").await;
    let job = app.acme.wait_until(&id, "processing").await;
    let gladia_id = job["gladia_id"].as_str().unwrap().to_owned();
    let attempt = app.attempt(&id).await;
    let answer = app
        .call_back(attempt.id, success(&gladia_id, "made up"))
        .await;
    assert_eq!(answer.status, 200);
    eventually("question to Gladia", async || {
        (app.upstream.count("gets").await >= 1).then_some(())
    })
    .await;
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    assert_eq!(app.callback_outcomes(&id).await, ["unproven"]);
    // A failure is believed: a success that comes later would still count.
    app.call_back(attempt.id, failure(&gladia_id, 500, "the end"))
        .await;
    assert_eq!(app.acme.job(&id).await["status"], "error");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_complete_nothing_needs_no_proof() {
    let app = start().await;
    let id = app.acme.start("endless.mp3").await;
    let job = app.acme.wait_until(&id, "processing").await;
    let gladia_id = job["gladia_id"].as_str().unwrap().to_owned();
    let attempt = app.attempt(&id).await;
    app.call_back(attempt.id, success("another", "contradicting"))
        .await;
    assert_eq!(app.callback_outcomes(&id).await, ["quarantined"]);
    app.acme.cancel(&id).await.expect(200);
    app.call_back(attempt.id, success(&gladia_id, "for nobody"))
        .await;
    assert_eq!(
        app.callback_outcomes(&id).await,
        ["quarantined", "discarded"]
    );
    assert_eq!(app.upstream.count("gets").await, 0);
    assert_eq!(app.slots_held().await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_cannot_be_had_is_refused_at_the_start() {
    let mut app = start().await;
    let refused = app
        .try_replica(&[
            ("GLADIA_ZERO_DATA_RETENTION", "true"),
            ("CALLBACK_SPOOL_DIR", "/nowhere"),
        ])
        .await;
    let message = format!("{:#}", refused.unwrap_err());
    assert!(message.contains("VERIFY_CALLBACKS=fetch"), "{message}");
    let job = app
        .acme
        .transcribe(&json!({ "audio_url": "https://audio.example/a.mp3" }))
        .await
        .expect(202);
    app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    app.finish().await;
}
