//! `VERIFY_CALLBACKS=fetch`: a success is believed only once Gladia says the same when it is asked.

use serde_json::json;
use uuid::Uuid;

use crate::support::{
    TestApp,
    command::run,
    eventually,
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
    app.wait_for_looks(&id, 1).await;
    assert_eq!(app.gets().await, 1);
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    assert_eq!(app.callback_outcomes(&id).await, ["unproven"]);
    // A failure is believed: a success that comes later would still count.
    app.call_back(attempt.id, failure(&gladia_id, 500, "the end"))
        .await;
    assert_eq!(app.acme.job(&id).await["status"], "error");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_gladia_contradicts_is_kept_for_people_to_see() {
    let app = start().await;
    let id = app.start_and_lose_callback("failing.mp3").await;
    let attempt = app.attempt(&id).await;
    let gladia_id = attempt.gladia_id.unwrap();
    app.call_back(attempt.id, success(&gladia_id, "made up"))
        .await;
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["type"], "transcription_failed");
    assert_eq!(app.callback_outcomes(&id).await, ["quarantined", "failed"]);
    app.finish().await;
}

/// A job whose callback is lost, and that Gladia answers with this status when it is asked. Gives its id, its attempt's and Gladia's.
async fn asked_for_in_vain(app: &TestApp, audio: &str, status: u16) -> (String, Uuid, String) {
    let id = app.start_and_lose_callback(audio).await;
    let fault = json!({ "operation": "get", "kind": "status", "status": status });
    app.upstream.fault(&fault).await;
    let attempt = app.attempt(&id).await;
    (id, attempt.id, attempt.gladia_id.unwrap())
}

/// A job of which a success was delivered that Gladia answers with this status when it is asked. Gives its id, and Gladia's.
async fn delivered_and_asked_for(app: &TestApp, status: u16) -> (String, String) {
    let (id, attempt, gladia_id) = asked_for_in_vain(app, "spoken.mp3", status).await;
    app.call_back(attempt, success(&gladia_id, "true all the same"))
        .await
        .expect(200);
    let rests = app.wait_for_looks(&id, 1).await;
    assert!(rests < 4.0, "{rests}");
    (id, gladia_id)
}

/// The job failed, and says that there is more to it; so do those who look after the gateway.
async fn assert_left_to_an_operator(app: &TestApp, id: &str) {
    let job = app.acme.wait_until(id, "error").await;
    assert_eq!(job["error"]["type"], "result_missing");
    let message = job["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("an operator can carry it out"),
        "{message}"
    );
    assert_eq!(job["error"]["retry"]["may_be_billed_twice"], true);
    assert_eq!(app.callback_outcomes(id).await, ["quarantined"]);
    assert_eq!(app.slots_held().await, 0);
    eventually("gauge that counts it", async || {
        let metrics = app.acme.with_key(None).get("/metrics").await.text();
        metrics
            .contains("gateway_callbacks_quarantined 1\n")
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_gladia_cannot_give_at_once_is_asked_for_again_after_seconds() {
    for fault in [
        json!({ "operation": "get", "kind": "status", "status": 404, "times": 2 }),
        // The callback is ahead of what Gladia answers.
        json!({ "operation": "get", "kind": "lag", "milliseconds": 3_600_000, "times": 2 }),
    ] {
        let app = start().await;
        app.upstream.fault(&fault).await;
        let id = app.acme.start("spoken.mp3").await;
        let job = app.acme.wait_until_done(&id).await;
        assert_eq!(
            job["result"]["transcription"]["full_transcript"],
            "Good morning from the harbour"
        );
        assert_eq!(app.gets().await, 3, "{fault}");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_gladia_has_lost_is_left_to_an_operator_who_can_carry_it_out() {
    let app = start().await;
    let (id, gladia_id) = delivered_and_asked_for(&app, 404).await;
    for minutes in [6, 12] {
        app.set_clock_ahead(&format!("{minutes} minutes")).await;
        eventually("question to Gladia", async || {
            let query = format!(
                "SELECT coalesce(next_look_at > gateway_now() + interval '1 minute', true) FROM attempts
                 WHERE job_id = '{id}'"
            );
            app.scalar::<bool>(&query).await.then_some(())
        })
        .await;
    }
    assert_left_to_an_operator(&app, &id).await;

    let (_, listed) = run(&app, &["callbacks", "list"]).await;
    let row = listed.lines().find(|line| line.contains(&id)).unwrap();
    assert!(row.contains("Gladia did not confirm it"), "{row}");
    let (replayed, told) = run(&app, &["callbacks", "replay", "--all"]).await;
    assert!(replayed && told.contains("completed"), "{told}");
    let job = app.acme.wait_until_done(&id).await;
    assert_eq!(
        (
            &job["gladia_id"],
            &job["result"]["transcription"]["full_transcript"]
        ),
        (&json!(gladia_id), &json!("true all the same"))
    );
    assert_eq!(
        app.events(&id).await,
        ["queued", "submitting", "processing", "error", "done"]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_gladia_confirms_after_its_slots_deadline_needs_no_operator() {
    let app = start().await;
    let (id, _) = delivered_and_asked_for(&app, 503).await;
    app.set_clock_ahead("2 hours 16 minutes").await;
    assert_left_to_an_operator(&app, &id).await;

    app.upstream.clear_faults().await;
    app.set_clock_ahead("2 hours 40 minutes").await;
    let job = app.acme.wait_until_done(&id).await;
    assert_eq!(
        job["result"]["transcription"]["full_transcript"],
        "Good morning from the harbour"
    );
    assert_eq!(
        app.callback_outcomes(&id).await,
        ["superseded", "completed"]
    );
    app.finish().await;
}

/// Gladia answers again, and confirms the success that is in hand.
async fn assert_confirmed(app: &TestApp, id: &str, outcomes: &[&str]) {
    app.upstream.clear_faults().await;
    app.set_clock_ahead("10 minutes").await;
    let job = app.acme.wait_until_done(id).await;
    assert_eq!(
        job["result"]["transcription"]["full_transcript"],
        "Good morning from the harbour"
    );
    assert_eq!(app.callback_outcomes(id).await, outcomes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_waits_for_its_proof_is_asked_for_whatever_failure_is_delivered_then() {
    let app = start().await;
    let (id, gladia_id) = delivered_and_asked_for(&app, 503).await;
    let attempt = app.attempt(&id).await;
    app.call_back(attempt.id, failure(&gladia_id, 500, "the end"))
        .await
        .expect(200);
    assert_eq!(app.acme.job(&id).await["status"], "error");
    assert_eq!(app.slots_held().await, 0);
    assert_confirmed(&app, &id, &["superseded", "failed", "completed"]).await;
    assert_eq!(
        app.events(&id).await,
        ["queued", "submitting", "processing", "error", "done"]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_between_two_failures_is_asked_for_all_the_same() {
    let app = start().await;
    let (id, attempt, gladia_id) = asked_for_in_vain(&app, "spoken.mp3", 503).await;
    for body in [
        failure(&gladia_id, 500, "the end"),
        success(&gladia_id, "true all the same"),
        failure(&gladia_id, 500, "the end, in other words"),
    ] {
        app.call_back(attempt, body).await.expect(200);
    }
    let outcomes = ["failed", "superseded", "superseded", "completed"];
    assert_confirmed(&app, &id, &outcomes).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_and_a_success_at_the_same_time_leave_the_success_to_be_asked_for() {
    let app = start().await;
    let id = app.start_and_lose_callback("spoken.mp3").await;
    let attempt = app.attempt(&id).await;
    let gladia_id = attempt.gladia_id.clone().unwrap();
    let fault = json!({ "operation": "get", "kind": "status", "status": 503 });
    app.upstream.fault(&fault).await;
    // The failure has found its attempt alone, and is about to end it.
    let mut holds_up = app.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE slots IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *holds_up)
        .await
        .unwrap();
    let failing = app.call_back(attempt.id, failure(&gladia_id, 500, "the end"));
    let succeeding = async {
        eventually("failure that is about to end its attempt", async || {
            let waiting = app
                .rows(
                    "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                     AND query LIKE '%AS g (attempt_id, job_status, attempt_state%'",
                )
                .await;
            (waiting > 0).then_some(())
        })
        .await;
        app.call_back(attempt.id, success(&gladia_id, "true all the same"))
            .await
            .expect(200);
        holds_up.commit().await.unwrap();
    };
    let (failed, ()) = tokio::join!(failing, succeeding);
    failed.expect(200);
    assert_eq!(app.acme.job(&id).await["status"], "error");
    assert_confirmed(&app, &id, &["superseded", "failed", "completed"]).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_gladia_confirms_ends_the_wait_of_a_success() {
    let app = start().await;
    let (id, attempt, gladia_id) = asked_for_in_vain(&app, "failing.mp3", 503).await;
    app.call_back(attempt, success(&gladia_id, "made up"))
        .await
        .expect(200);
    app.call_back(attempt, failure(&gladia_id, 500, "the end"))
        .await
        .expect(200);
    app.upstream.clear_faults().await;
    app.set_clock_ahead("10 minutes").await;
    eventually("end of the wait", async || {
        let outcomes = app.callback_outcomes(&id).await;
        (outcomes == ["quarantined", "failed", "superseded"]).then_some(())
    })
    .await;
    let is_asked_for = "SELECT next_look_at IS NOT NULL FROM attempts";
    assert!(!app.scalar::<bool>(is_asked_for).await);
    let job = app.acme.job(&id).await;
    assert_eq!(job["status"], "error");
    assert_eq!(job["error"]["retry"]["may_be_billed_twice"], false);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_whose_success_waits_for_its_proof_is_sent_again_at_its_callers_word_alone() {
    let app = start().await;
    let (id, gladia_id) = delivered_and_asked_for(&app, 503).await;
    let attempt = app.attempt(&id).await;
    app.call_back(attempt.id, failure(&gladia_id, 500, "the end"))
        .await
        .expect(200);
    let job = app.acme.job(&id).await;
    assert_eq!(job["error"]["type"], "transcription_failed");
    assert_eq!(job["error"]["retry"]["may_be_billed_twice"], true);
    app.acme
        .retry(&id)
        .await
        .problem(409, "second-bill-not-accepted");
    assert_confirmed(&app, &id, &["superseded", "failed", "completed"]).await;
    assert_eq!(app.upstream.count("creates_received").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_nobody_asks_for_any_more_is_asked_for_when_it_comes_again() {
    let app = start().await;
    let (id, gladia_id) = delivered_and_asked_for(&app, 503).await;
    let attempt = app.attempt(&id).await;
    app.call_back(attempt.id, failure(&gladia_id, 500, "the end"))
        .await
        .expect(200);
    // As earlier versions left it.
    eventually("attempt that is left alone", async || {
        let left = "UPDATE attempts SET next_look_at = NULL WHERE next_look_at > gateway_now() AND state = 'error'";
        (app.execute(left).await == 1).then_some(())
    })
    .await;
    app.call_back(attempt.id, success(&gladia_id, "true all the same"))
        .await
        .expect(200);
    assert_confirmed(&app, &id, &["superseded", "failed", "completed"]).await;
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
