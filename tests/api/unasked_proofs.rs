//! Successes that wait for their proof (`VERIFY_CALLBACKS=fetch`), and of which nobody asks Gladia: as older versions left them.

use serde_json::json;
use uuid::Uuid;

use crate::support::{
    Caller, TestApp,
    builder::DRAIN,
    eventually,
    rows::{failure, success},
    spool::SpoolDirectory,
};

/// What a job was told by versions that did not say what is kept.
const TOLD_BEFORE: &str =
    "Gladia accepted the transcription, delivered no result and does not have it any more.";

async fn start() -> TestApp {
    TestApp::builder()
        .set("VERIFY_CALLBACKS", "fetch")
        .start()
        .await
}

/// A job of which a success is kept that Gladia answers with this status when it is asked. Gives its id, its attempt's and
/// Gladia's.
async fn kept(app: &TestApp, audio: &str, status: u16) -> (String, Uuid, String) {
    let id = app.start_and_lose_callback(audio).await;
    let fault = json!({ "operation": "get", "kind": "status", "status": status });
    app.upstream.fault(&fault).await;
    let attempt = app.attempt(&id).await;
    let gladia_id = attempt.gladia_id.unwrap();
    app.call_back(attempt.id, success(&gladia_id, "true all the same"))
        .await
        .expect(200);
    (id, attempt.id, gladia_id)
}

/// A job that an older version ended for want of a result, although a success is kept.
async fn ended_for_want_of_a_result(app: &TestApp) -> String {
    let (id, ..) = kept(app, "spoken.mp3", 404).await;
    app.wait_for_looks(&id, 1).await;
    for minutes in [6, 12] {
        app.set_clock_ahead(&format!("{minutes} minutes")).await;
        eventually("question to Gladia", async || {
            let query = "SELECT coalesce(next_look_at > gateway_now() + interval '1 minute', true) FROM attempts";
            app.scalar::<bool>(query).await.then_some(())
        })
        .await;
    }
    app.acme.wait_until(&id, "error").await;
    assert_eq!(app.callback_outcomes(&id).await, ["quarantined"]);
    end_first(app).await;
    app.execute("UPDATE callbacks SET outcome = 'unproven', reason = NULL")
        .await;
    app.execute(&format!("UPDATE jobs SET error_message = '{TOLD_BEFORE}'"))
        .await;
    id
}

async fn end_first(app: &TestApp) {
    assert!(app.replicas[0].stop(DRAIN).await);
}

/// Starts the gateway that comes after it. Gives the caller of that one.
async fn start_next(app: &mut TestApp, settings: &[(&str, &str)]) -> Caller {
    app.add_replica(settings).await;
    app.acme.at(&app.replicas[1].base)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_an_older_version_left_beside_a_failure_is_asked_for() {
    let mut app = start().await;
    let (id, attempt, gladia_id) = kept(&app, "spoken.mp3", 503).await;
    app.call_back(attempt, failure(&gladia_id, 500, "the end"))
        .await
        .expect(200);
    assert_eq!(app.acme.job(&id).await["status"], "error");
    end_first(&app).await;
    app.upstream.clear_faults().await;
    app.execute("UPDATE attempts SET next_look_at = NULL").await;
    // Others that are kept stand before it.
    app.execute(&format!(
        "INSERT INTO callbacks (id, attempt_id, received_at, method, outcome, body, body_bytes, body_sha256)
         SELECT gen_random_uuid(), '{attempt}', gateway_now() - interval '1 day', 'POST', 'quarantined', '', 0,
                sha256(n::text::bytea)
         FROM generate_series(1, 2000) n"
    ))
    .await;
    let acme = start_next(&mut app, &[]).await;
    let job = acme.wait_until_done(&id).await;
    assert_eq!(
        job["result"]["transcription"]["full_transcript"],
        "Good morning from the harbour"
    );
    assert_eq!(app.rows("callbacks WHERE outcome = 'unproven'").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_whose_job_an_older_version_ended_for_want_of_a_result_is_asked_for_again() {
    let mut app = start().await;
    let id = ended_for_want_of_a_result(&app).await;
    app.upstream.clear_faults().await;
    let acme = start_next(&mut app, &[]).await;
    acme.wait_until_done(&id).await;
    assert_eq!(
        app.callback_outcomes(&id).await,
        ["superseded", "completed"]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_for_which_nobody_can_ask_is_left_to_an_operator() {
    let mut app = start().await;
    let id = ended_for_want_of_a_result(&app).await;
    let spool = SpoolDirectory::new();
    let settings = [
        ("GLADIA_ZERO_DATA_RETENTION", "true"),
        ("VERIFY_CALLBACKS", "address"),
        ("CALLBACK_SPOOL_DIR", spool.setting()),
    ];
    let acme = start_next(&mut app, &settings).await;
    eventually("success that waits for an operator", async || {
        (app.callback_outcomes(&id).await == ["quarantined"]).then_some(())
    })
    .await;
    let job = acme.job(&id).await;
    let message = job["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("an operator can carry it out"),
        "{message}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_gladia_contradicted_is_left_to_an_operator_unasked() {
    let mut app = start().await;
    let id = app.start_and_lose_callback("failing.mp3").await;
    let attempt = app.attempt(&id).await;
    app.call_back(attempt.id, success(&attempt.gladia_id.unwrap(), "made up"))
        .await;
    app.acme.wait_until(&id, "error").await;
    assert_eq!(app.callback_outcomes(&id).await, ["quarantined", "failed"]);
    end_first(&app).await;
    // Older versions did not look at what Gladia had said.
    app.execute(
        "UPDATE callbacks SET outcome = 'unproven', reason = NULL WHERE outcome = 'quarantined'",
    )
    .await;
    let asked = app.gets().await;
    start_next(&mut app, &[]).await;
    eventually("success that waits for an operator", async || {
        (app.callback_outcomes(&id).await == ["quarantined", "failed"]).then_some(())
    })
    .await;
    assert_eq!(app.gets().await, asked);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_of_a_success_that_waits_for_its_proof_once_its_job_was_canceled() {
    let mut app = start().await;
    let (id, attempt, gladia_id) = kept(&app, "spoken.mp3", 503).await;
    app.acme.cancel(&id).await.expect(200);
    app.call_back(attempt, success(&gladia_id, "in other words"))
        .await
        .expect(200);
    end_first(&app).await;
    start_next(&mut app, &[]).await;
    eventually("success that nobody wants", async || {
        (app.callback_outcomes(&id).await == ["discarded", "discarded"]).then_some(())
    })
    .await;
    assert_eq!(app.rows("callbacks WHERE body IS NOT NULL").await, 0);
    app.finish().await;
}
