//! Attempts from before a retry that turn out to be at Gladia, succeed or fail after all.

use gladia_gateway::domain::access::Scope;
use serde_json::{Value, json};

use crate::support::{
    TestApp,
    builder::WEBHOOK_SECRET,
    look_ups::{lose_creates, refuse_creates},
    retries::{given_up, missing, surplus},
    rows::{failure, success},
    webhooks::Message,
};

fn words(job: &Value) -> &str {
    job["result"]["transcription"]["full_transcript"]
        .as_str()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_success_completes_a_retried_job_that_waits_and_nothing_is_sent_again() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = missing(&app).await;
    app.pause_dispatch().await;
    app.acme.retry_at_any_cost(&id).await.expect(202);
    app.call_back(attempt.id, success(&gladia_id, "late")).await;
    let done = app.acme.job(&id).await;
    assert_eq!(
        (words(&done), &done["gladia_id"]),
        ("late", &json!(gladia_id))
    );
    app.resume_dispatch().await;
    let other = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&other).await;
    assert_eq!(app.attempts(&id).await.len(), 1);
    assert!(surplus(&app, &id).await.is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_was_given_up_completes_a_retried_job_that_waits() {
    let app = TestApp::start().await;
    let (id, attempt) = given_up(&app, "endless.mp3").await;
    app.pause_dispatch().await;
    app.acme.retry_at_any_cost(&id).await.expect(202);
    let jobs = app.upstream.jobs().await;
    let gladia_id = jobs[0]["id"].as_str().unwrap();
    assert_eq!(
        jobs[0]["custom_metadata"]["gladia_gateway_attempt"],
        attempt.to_string()
    );
    // A success that nobody expects any more.
    app.call_back(attempt, success(gladia_id, "after all"))
        .await;
    let done = app.acme.wait_until_done(&id).await;
    assert_eq!(words(&done), "after all");
    app.resume_dispatch().await;
    assert_eq!(app.upstream.count("creates_received").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_success_completes_a_retried_job_that_is_being_sent_and_the_newer_one_is_surplus() {
    let app = TestApp::builder().with_gladia_relay().start().await;
    let (id, older, gladia_id) = missing(&app).await;
    app.gladia().hold_answers();
    app.acme.retry_at_any_cost(&id).await.expect(202);
    app.upstream.wait_for("creates_accepted", 2).await;
    assert_eq!(app.acme.job(&id).await["status_reason"], "submitting");
    app.call_back(older.id, success(&gladia_id, "late")).await;
    let done = app.acme.job(&id).await;
    assert_eq!((&done["status"], words(&done)), (&json!("done"), "late"));
    app.gladia().release_answers();
    let newer = app.wait_for_attempt(&id, "accepted").await;
    let second = newer.gladia_id.unwrap();
    assert_eq!(surplus(&app, &id).await, std::slice::from_ref(&second));
    assert_eq!(app.slots_held().await, 1);
    app.call_back(newer.id, success(&second, "second")).await;
    assert_eq!(app.acme.job(&id).await, done);
    assert_eq!(app.slots_held().await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_success_completes_a_retried_job_at_work_and_the_newer_one_is_surplus() {
    let app = TestApp::start().await;
    let (id, older, gladia_id) = missing(&app).await;
    app.acme.retry_at_any_cost(&id).await.expect(202);
    app.acme.wait_until(&id, "processing").await;
    // That the older one failed, on the other hand, says nothing of the newer one.
    app.call_back(older.id, failure(&gladia_id, 500, "worker lost"))
        .await;
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    assert!(surplus(&app, &id).await.is_empty());
    app.call_back(older.id, success(&gladia_id, "late")).await;
    let done = app.acme.job(&id).await;
    assert_eq!((&done["status"], words(&done)), (&json!("done"), "late"));
    let newer = app.attempt(&id).await;
    let second = newer.gladia_id.unwrap();
    assert_eq!(surplus(&app, &id).await, std::slice::from_ref(&second));
    let timeline = app.acme.timeline(&id).await;
    let steps = timeline["steps"].as_array().unwrap();
    let found = steps.iter().find(|step| step["step"] == "surplus_found");
    assert_eq!(found.unwrap()["attempt"], 2);
    // Its caller had agreed, so it is counted apart from what should not happen.
    let metrics = app.acme.with_key(None).get("/metrics").await.text();
    assert!(metrics.contains("gateway_surplus_jobs_total{by_retry=\"true\"}"));
    app.call_back(newer.id, success(&second, "second")).await;
    assert_eq!(app.acme.job(&id).await, done);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_retry_may_succeed_first_and_then_the_older_attempt_is_surplus() {
    let app = TestApp::start().await;
    let (id, older, gladia_id) = missing(&app).await;
    app.acme.retry_at_any_cost(&id).await.expect(202);
    app.acme.wait_until(&id, "processing").await;
    app.end(&id).await;
    let done = app.acme.wait_until_done(&id).await;
    assert!(surplus(&app, &id).await.is_empty());
    app.call_back(older.id, success(&gladia_id, "late")).await;
    assert_eq!(app.acme.job(&id).await, done);
    assert_eq!(surplus(&app, &id).await, [gladia_id]);
    app.finish().await;
}

/// What a step of a job's timeline says: which attempt, and why.
async fn step(app: &TestApp, id: &str, code: &str) -> (Value, Value) {
    let timeline = app.acme.timeline(id).await;
    let mut steps = timeline["steps"].as_array().unwrap().iter();
    let step = steps.find(|step| step["step"] == code).unwrap();
    (step["attempt"].clone(), step["reason"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_gladias_list_shows_takes_the_place_of_a_retry_that_waits() {
    let app = TestApp::start().await;
    let (id, attempt) = given_up(&app, "endless.mp3").await;
    // Why there is a look: one that Gladia does not have, so that the list is walked.
    refuse_creates(&app, 1).await;
    let other = app.acme.start("a.mp3").await;
    let unknown = app.wait_for_attempt(&other, "unknown").await;
    app.pause_dispatch().await;
    app.acme.retry_at_any_cost(&id).await.expect(202);
    app.set_clock_ahead("5 minutes").await;
    let job = app.acme.wait_until(&id, "processing").await;
    assert_eq!(job["gladia_id"], app.upstream.jobs().await[0]["id"]);
    assert_eq!(app.slots_held().await, 2);
    let processing = step(&app, &id, "processing").await;
    assert_eq!(processing, (json!(1), json!("look_up")));

    app.call_back(unknown.id, success("other", "other")).await;
    app.resume_dispatch().await;
    app.end(&id).await;
    app.acme.wait_until_done(&id).await;
    let attempts = app.attempts(&id).await;
    assert_eq!((attempts.len(), attempts[0].id), (1, attempt));
    assert_eq!(app.upstream.count("creates_accepted").await, 1);
    assert!(surplus(&app, &id).await.is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_a_webhook_names_takes_the_place_of_a_retry_that_waits_and_may_fail_for_it()
{
    let app = TestApp::builder()
        .set("GLADIA_WEBHOOK_SECRETS", WEBHOOK_SECRET)
        .start()
        .await;
    let (id, attempt) = given_up(&app, "endless.mp3").await;
    app.pause_dispatch().await;
    app.acme.retry_at_any_cost(&id).await.expect(202);
    let jobs = app.upstream.jobs().await;
    let gladia_id = jobs[0]["id"].as_str().unwrap();
    let message = Message::new("transcription.created", gladia_id);
    message.send(&app).await.expect(204);
    app.set_clock_ahead("10 seconds").await;
    app.acme.wait_until(&id, "processing").await;
    app.wait_for_webhooks(&[("created", "adopted")]).await;
    let processing = step(&app, &id, "processing").await;
    assert_eq!(processing, (json!(1), json!("webhook")));

    app.call_back(attempt, failure(gladia_id, 500, "worker lost"))
        .await;
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["type"], "transcription_failed");
    assert_eq!(job["error"]["retry"]["may_be_billed_twice"], false);
    assert_eq!(app.slots_held().await, 0);
    app.resume_dispatch().await;
    app.acme.retry(&id).await.expect(202);
    app.acme.wait_until(&id, "processing").await;
    app.end(&id).await;
    app.acme.wait_until_done(&id).await;
    assert!(surplus(&app, &id).await.is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_for_not_sent_or_refused_and_turns_out_to_have_failed_is_not_billed_twice() {
    let app = TestApp::start().await;
    lose_creates(&app, 1).await;
    let id = app.acme.start("endless.mp3").await;
    let lost = app.wait_for_attempt(&id, "unknown").await;
    let refusal = json!({ "operation": "create", "kind": "status", "status": 400, "times": 1 });
    app.upstream.fault(&refusal).await;
    let admin = app.caller("operators", Scope::Admin).await;
    let path = format!("/v1/admin/attempts/{}/resolve", lost.id);
    admin
        .post(&path, &json!({ "resolution": "not_sent" }))
        .await
        .expect(200);
    let before = app.acme.wait_until(&id, "error").await;
    assert_eq!(before["error"]["retry"]["may_be_billed_twice"], false);
    app.call_back(lost.id, failure("late", 500, "worker lost"))
        .await;
    assert_eq!(app.callback_outcomes(&id).await, ["superseded"]);
    assert_eq!(app.acme.job(&id).await["error"], before["error"]);
    app.acme.retry(&id).await.expect(202);
    app.acme.wait_until(&id, "processing").await;
    // It had failed before this one was claimed.
    assert!(surplus(&app, &id).await.is_empty());
    app.end(&id).await;
    app.acme.wait_until_done(&id).await;

    app.upstream.fault(&refusal).await;
    let id = app.acme.start("endless.mp3").await;
    let refused = app.wait_for_attempt(&id, "refused").await;
    app.call_back(refused.id, failure("later", 500, "worker lost"))
        .await;
    let job = app.acme.job(&id).await;
    assert_eq!(job["error"]["type"], "gladia_refused");
    assert_eq!(job["error"]["retry"]["may_be_billed_twice"], false);
    assert_eq!(app.attempt(&id).await.state, "error");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_turns_out_to_have_failed_is_not_billed_twice() {
    let app = TestApp::start().await;
    let (missing, first, gladia_id) = missing(&app).await;
    let (unknown, second) = given_up(&app, "endless.mp3").await;
    for (id, attempt, gladia_id) in [
        (&missing, first.id, gladia_id.as_str()),
        (&unknown, second, "late"),
    ] {
        let before = app.acme.job(id).await;
        assert_eq!(before["error"]["retry"]["may_be_billed_twice"], true);
        let failed = failure(gladia_id, 500, "worker lost");
        app.call_back(attempt, failed).await;
        let job = app.acme.job(id).await;
        assert_eq!(job["error"]["type"], before["error"]["type"]);
        assert_eq!(job["error"]["retry"]["may_be_billed_twice"], false);
        app.acme.retry(id).await.expect(202);
        app.acme.wait_until(id, "processing").await;
        app.end(id).await;
        app.acme.wait_until_done(id).await;
        assert!(surplus(&app, id).await.is_empty());
    }
    app.finish().await;
}
