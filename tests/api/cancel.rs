//! Jobs that nobody wants any more.

use serde_json::{Value, json};

use crate::support::{
    TestApp,
    rows::{failure, success},
};

/// Whether nothing of a job's content is left in any row.
async fn is_erased(app: &TestApp, id: &str) -> bool {
    app.scalar(&format!(
        "SELECT request IS NULL AND audio_url IS NULL AND result_callback_id IS NULL AND addon_errors IS NULL
            AND NOT EXISTS (SELECT FROM callbacks c JOIN attempts a ON a.id = c.attempt_id
                            WHERE a.job_id = jobs.id AND c.body IS NOT NULL)
         FROM jobs WHERE id = '{id}'"
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_job_that_is_canceled_never_reaches_gladia() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let id = app.acme.start("a.mp3").await;
    let job = app.acme.cancel(&id).await.expect(200);
    assert_eq!(job["status"], "canceled");
    assert_eq!(job["status_reason"], "canceled_before_submission");
    // Canceling twice is the same as once.
    assert_eq!(app.acme.cancel(&id).await.expect(200), job);
    app.resume_dispatch().await;
    let other = app.acme.start("b.mp3").await;
    app.acme.wait_until_done(&other).await;
    assert_eq!(app.upstream.count("creates_received").await, 1);
    assert_eq!(app.events(&id).await, ["queued", "canceled"]);
    app.acme.result(&id).await.problem(409, "result-not-ready");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_canceled_at_work_gives_its_slot_back_and_its_result_is_discarded() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 1).start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let job = app.acme.cancel(&id).await.expect(200);
    assert_eq!(job["status"], "canceled");
    assert_eq!(job["status_reason"], "canceled_in_flight");
    // Gladia is still at work on it.
    assert_eq!(app.slots_held().await, 1);
    let attempt = app.attempt(&id).await;
    let gladia_id = attempt.gladia_id.unwrap();
    let answer = app
        .call_back(attempt.id, success(&gladia_id, "unwanted"))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.callback_outcomes(&id).await, ["discarded"]);
    let kept: i64 = app
        .scalar("SELECT count(*) FROM callbacks WHERE body IS NOT NULL")
        .await;
    assert_eq!(kept, 0);
    assert_eq!(app.acme.job(&id).await["status"], "canceled");
    let next = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&next).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_a_canceled_job_gives_its_slot_back_too() {
    let app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    app.acme.cancel(&id).await.expect(200);
    let attempt = app.attempt(&id).await;
    let body = failure(&attempt.gladia_id.unwrap(), 500, "worker lost");
    app.call_back(attempt.id, body).await;
    assert_eq!(app.slots_held().await, 0);
    assert_eq!(app.acme.job(&id).await["status"], "canceled");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_canceled_while_it_is_sent_is_settled_all_the_same() {
    let app = TestApp::builder().with_gladia_relay().start().await;
    app.gladia().hold_answers();
    let id = app.acme.start("endless.mp3").await;
    app.upstream.wait_for("creates_accepted", 1).await;
    let job = app.acme.cancel(&id).await.expect(200);
    assert_eq!(job["status_reason"], "canceled_in_flight");
    app.gladia().release_answers();
    let attempt = app.wait_for_attempt(&id, "accepted").await;
    assert_eq!(app.slots_held().await, 1);
    assert_eq!(app.acme.job(&id).await["status"], "canceled");
    let body = success(&attempt.gladia_id.unwrap(), "unwanted");
    app.call_back(attempt.id, body).await;
    assert_eq!(app.callback_outcomes(&id).await, ["discarded"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canceled_job_whose_attempt_came_back_unsent_is_not_sent_again() {
    let app = TestApp::builder().with_gladia_relay().start().await;
    let fault = json!({ "operation": "create", "kind": "status", "status": 429, "times": 1 });
    app.upstream.fault(&fault).await;
    app.gladia().hold_answers();
    let id = app.acme.start("a.mp3").await;
    app.upstream.wait_for("creates_received", 1).await;
    app.acme.cancel(&id).await.expect(200);
    app.gladia().release_answers();
    app.wait_for_attempt(&id, "not_sent").await;
    app.set_clock_ahead("2 minutes").await;
    let other = app.acme.start("b.mp3").await;
    app.acme.wait_until_done(&other).await;
    assert_eq!(app.acme.job(&id).await["status"], "canceled");
    assert_eq!(app.attempts(&id).await.len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_ended_cannot_be_canceled() {
    let app = TestApp::start().await;
    let done = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&done).await;
    let failed = app.acme.start("failing.mp3").await;
    app.acme.wait_until(&failed, "error").await;
    for id in [&done, &failed] {
        let before = app.acme.job(id).await;
        app.acme.cancel(id).await.problem(409, "already-ended");
        assert_eq!(app.acme.job(id).await, before);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_job_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let options = json!({ "custom_metadata": { "patient": "Jane" } });
    let answer = app
        .acme
        .upload(crate::support::audio::short(), "spoken.wav", Some(&options))
        .await;
    let id = answer.expect(202)["id"].as_str().unwrap().to_owned();
    app.acme.wait_until_done(&id).await;
    let gladia_id = app.acme.job(&id).await["gladia_id"].clone();
    // Gladia has it for now, and may call back again.
    let fault = json!({ "operation": "delete", "kind": "status", "status": 500 });
    app.upstream.fault(&fault).await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    assert_eq!(app.acme.delete(&id).await.status, 204);
    let address = format!("/v1/transcriptions/{id}");
    for answer in [
        app.acme.get(&address).await,
        app.acme.result(&id).await,
        app.acme.get(&format!("{address}/audio")).await,
        app.acme.get(&format!("{address}/timeline")).await,
        app.acme.cancel(&id).await,
        app.acme.retry(&id).await,
    ] {
        answer.problem(410, "transcription-deleted");
    }
    let list = app.acme.get("/v1/transcriptions").await.expect(200);
    assert_eq!(list["items"], json!([]));
    assert!(is_erased(&app, &id).await);
    assert_eq!(app.rows("uploads").await, 0);
    // What arrives later is not kept either.
    assert_eq!(
        app.upstream
            .resend_callback(gladia_id.as_str().unwrap())
            .await,
        200
    );
    let attempt = app.attempt(&id).await;
    let late = success(gladia_id.as_str().unwrap(), "late words");
    assert_eq!(app.call_back(attempt.id, late).await.status, 200);
    assert_eq!(app.call_back(attempt.id, "garbage").await.status, 200);
    assert!(is_erased(&app, &id).await);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_jobs_file_stays_while_somebody_needs_it() {
    let app = TestApp::start().await;
    let kept = app
        .acme
        .keep(crate::support::audio::short(), "kept.wav")
        .await;
    let came_along = app
        .acme
        .upload(crate::support::audio::short(), "came-along.wav", None)
        .await
        .expect(202);
    let again = came_along["audio_url"].as_str().unwrap();
    let mut ids = vec![came_along["id"].as_str().unwrap().to_owned()];
    for audio_url in [kept.as_str(), again] {
        let body = json!({ "audio_url": audio_url });
        let job = app.acme.transcribe(&body).await.expect(202);
        ids.push(job["id"].as_str().unwrap().to_owned());
    }
    for (id, files_left) in ids.iter().zip([2, 2, 1]) {
        app.acme.wait_until_done(id).await;
        assert_eq!(app.acme.delete(id).await.status, 204);
        assert_eq!(app.rows("uploads").await, files_left);
    }
    // Uploaded by itself, it goes by its own time.
    let body = json!({ "audio_url": kept });
    let job = app.acme.transcribe(&body).await.expect(202);
    app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_deleted_at_work_is_settled_and_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let attempt = app.attempt(&id).await;
    let gladia_id = attempt.gladia_id.clone().unwrap();
    assert_eq!(app.acme.delete(&id).await.status, 204);
    assert_eq!(app.slots_held().await, 1);
    app.call_back(attempt.id, success(&gladia_id, "unwanted"))
        .await;
    assert_eq!(app.slots_held().await, 0);
    assert!(is_erased(&app, &id).await);
    assert_eq!(app.callback_outcomes(&id).await, ["discarded"]);
    let address = format!("/v1/transcriptions/{id}");
    app.acme
        .get(&address)
        .await
        .problem(410, "transcription-deleted");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_can_be_deleted_with_its_message() {
    let app = TestApp::start().await;
    let id = app.acme.start("failing.mp3").await;
    app.acme.wait_until(&id, "error").await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    assert!(is_erased(&app, &id).await);
    let attempt = app.attempt(&id).await;
    let late = success(&attempt.gladia_id.unwrap(), "late words");
    app.call_back(attempt.id, late).await;
    assert!(is_erased(&app, &id).await);
    let status: Value = json!(app.scalar::<String>("SELECT status FROM jobs").await);
    assert_eq!(status, "error");
    app.finish().await;
}
