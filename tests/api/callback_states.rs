//! What a callback does depends on the states that it meets. The simpler ones are in `callbacks` and `cancel`.

use serde_json::json;
use uuid::Uuid;

use crate::support::{
    TestApp,
    callbacks::processing,
    rows::{AttemptRow, failure, success},
};

/// A job whose first attempt came back unsent, and that attempt. The job waits in line.
async fn resent(app: &TestApp) -> (String, AttemptRow) {
    let busy = json!({
        "operation": "create", "kind": "status", "status": 429, "times": 1, "headers": { "retry-after": "600" },
    });
    app.upstream.fault(&busy).await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until_reason(&id, "gladia_busy").await;
    let attempt = app.attempt(&id).await;
    assert_eq!(attempt.state, "not_sent");
    (id, attempt)
}

/// Ends a test that made up a second job at Gladia, of which the simulator knows nothing.
async fn finish_without_surplus(app: TestApp) {
    assert_eq!(app.rows("upstream_deletions").await, 1);
    app.execute("DELETE FROM upstream_deletions").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_of_an_attempt_that_is_not_here_is_asked_to_come_again() {
    let app = TestApp::start().await;
    let answer = app.call_back(Uuid::now_v7(), success("b7", "words")).await;
    answer.problem(503, "database-unavailable");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(app.rows("callbacks").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gladia_job_that_another_attempt_has_is_kept_and_changes_nothing() {
    let app = TestApp::builder().with_gladia_relay().start().await;
    let (first, first_attempt, gladia_id) = processing(&app).await;
    app.gladia().hold_answers();
    let second = app.acme.start("endless.mp3").await;
    let attempt = app.attempt(&second).await;
    let answer = app
        .call_back(attempt.id, success(&gladia_id, "not ours"))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.callback_outcomes(&second).await, ["quarantined"]);
    assert_eq!(app.attempt(&second).await.gladia_id, None);
    app.gladia().release_answers();
    app.acme.wait_until(&second, "processing").await;
    let own = app.attempt(&second).await.gladia_id.unwrap();
    app.call_back(attempt.id, success(&own, "ours")).await;
    app.call_back(first_attempt.id, success(&gladia_id, "words"))
        .await;
    for id in [first, second] {
        app.acme.wait_until_done(&id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_of_an_attempt_that_was_given_up_completes_the_job_that_waits() {
    let app = TestApp::start().await;
    let (id, attempt) = resent(&app).await;
    let gladia_id = Uuid::new_v4().to_string();
    let answer = app
        .call_back(attempt.id, success(&gladia_id, "after all"))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    let done = app.acme.job(&id).await;
    assert_eq!(
        (&done["status"], &done["gladia_id"]),
        (&json!("done"), &json!(gladia_id))
    );
    // It is not sent again.
    app.resume_dispatch().await;
    app.acme
        .wait_until_done(&app.acme.start("a.mp3").await)
        .await;
    assert_eq!(app.attempts(&id).await.len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_an_attempt_that_was_given_up_changes_nothing_for_its_job() {
    let app = TestApp::start().await;
    let (id, attempt) = resent(&app).await;
    let gladia_id = Uuid::new_v4().to_string();
    let body = failure(&gladia_id, 500, "worker lost");
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    assert_eq!(app.callback_outcomes(&id).await, ["superseded"]);
    assert_eq!(app.acme.job(&id).await["status"], "queued");
    // It was sent after all, and that is known now.
    assert_eq!(app.attempt(&id).await.state, "error");
    app.resume_dispatch().await;
    app.acme.wait_until(&id, "processing").await;
    let attempt = app.attempt(&id).await;
    let body = success(&attempt.gladia_id.unwrap(), "words");
    app.call_back(attempt.id, body).await;
    app.acme.wait_until_done(&id).await;
    // It had failed before the other was claimed, so it was replaced, and not doubled.
    assert_eq!(app.rows("upstream_deletions").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_ends_its_job_whatever_its_error_looks_like() {
    let app = TestApp::start().await;
    let no_reason = "Gladia gave no reason.";
    for (error, code, message) in [
        (
            json!({ "error": "Out of memory" }),
            json!(null),
            "Out of memory",
        ),
        (
            json!({ "error": { "message": "no code" } }),
            json!(null),
            "no code",
        ),
        (
            json!({ "error": { "code": 99_999_999_999_i64 } }),
            json!(null),
            no_reason,
        ),
        (
            json!({ "error": { "code": "413", "message": ["a"] } }),
            json!(413),
            r#"["a"]"#,
        ),
        (json!({ "error": 503 }), json!(503), no_reason),
        (json!({ "error": null }), json!(null), no_reason),
        (json!({}), json!(null), no_reason),
    ] {
        let (id, attempt, gladia_id) = processing(&app).await;
        let mut body = json!({ "id": gladia_id, "event": "transcription.error" });
        for (name, value) in error.as_object().unwrap() {
            body[name] = value.clone();
        }
        assert_eq!(
            app.call_back(attempt.id, body.to_string()).await.status,
            200
        );
        assert_eq!(app.callback_outcomes(&id).await, ["failed"], "{body}");
        let job = app.acme.job(&id).await;
        assert_eq!(job["status"], "error");
        assert_eq!(job["error"]["type"], "transcription_failed");
        assert_eq!(
            (&job["error"]["code"], &job["error"]["message"]),
            (&code, &json!(message))
        );
    }
    assert_eq!(app.slots_held().await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_success_of_any_attempt_completes_a_job_that_was_sent_again() {
    let app = TestApp::start().await;
    let (id, older) = resent(&app).await;
    app.resume_dispatch().await;
    app.acme.wait_until(&id, "processing").await;
    let newer = app.attempt(&id).await;
    assert_ne!(newer.id, older.id);
    let gladia_id = Uuid::new_v4().to_string();
    // The older one's failure says nothing of the newer one.
    app.call_back(older.id, failure(&gladia_id, 500, "worker lost"))
        .await;
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    app.call_back(older.id, success(&gladia_id, "first")).await;
    let done = app.acme.job(&id).await;
    assert_eq!(done["result"]["transcription"]["full_transcript"], "first");
    // The newer one still holds its slot, until it ends.
    assert_eq!(app.slots_held().await, 1);
    let body = success(&newer.gladia_id.unwrap(), "second");
    app.call_back(newer.id, body).await;
    assert_eq!(app.slots_held().await, 0);
    assert_eq!(app.acme.job(&id).await, done);
    assert_eq!(
        app.callback_outcomes(&id).await,
        ["superseded", "completed", "superseded"]
    );
    finish_without_surplus(app).await;
}
