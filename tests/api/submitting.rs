//! What the answer to a create proves, and what follows from it.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    TestApp,
    builder::DRAIN,
    callbacks::processing,
    eventually,
    rows::{failure, success},
};

/// Sends a job whose outcome must be unknown, and completes it by a callback: held, never sent again, never lost.
async fn is_unknown_and_settled_by_its_callback(
    app: TestApp,
    fault: Option<Value>,
    accepted: bool,
) {
    if let Some(fault) = fault {
        app.upstream.fault(&fault).await;
    }
    let id = app.acme.start("endless.mp3").await;
    let job = app.acme.wait_until_reason(&id, "outcome_unknown").await;
    assert_eq!(job["status"], "queued");
    assert_eq!(app.slots_held().await, 1);
    app.upstream.clear_faults().await;

    // Other jobs go their way, and nothing is sent again.
    let other = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&other).await;
    let attempts = app.attempts(&id).await;
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].state, "unknown");
    let jobs = app.upstream.jobs().await;
    let at_gladia = jobs
        .iter()
        .find(|job| job["custom_metadata"]["gladia_gateway_attempt"] == attempts[0].id.to_string());
    assert_eq!(at_gladia.is_some(), accepted);
    let gladia_id = at_gladia.map_or_else(
        || Uuid::new_v4().to_string(),
        |job| job["id"].as_str().unwrap().to_owned(),
    );
    assert_eq!(app.slots_held().await, 1);

    app.call_back(attempts[0].id, success(&gladia_id, "found"))
        .await;
    let done = app.acme.job(&id).await;
    assert_eq!(done["status"], "done");
    assert_eq!(done["gladia_id"], gladia_id);
    assert_eq!(done["status_reason"], Value::Null);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_gladias_leaves_the_outcome_unknown() {
    for status in [500, 503, 408] {
        let app = TestApp::start().await;
        let fault = json!({ "operation": "create", "kind": "status", "status": status });
        is_unknown_and_settled_by_its_callback(app, Some(fault), false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gladia_that_fails_for_a_while_does_not_take_every_slot() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 5).start().await;
    let fault = json!({ "operation": "create", "kind": "status", "status": 503 });
    app.upstream.fault(&fault).await;
    let first = app.acme.start("first.mp3").await;
    app.acme.wait_until_reason(&first, "outcome_unknown").await;
    let mut ids = Vec::new();
    for number in 0..8 {
        ids.push(app.acme.start(&format!("{number}.mp3")).await);
    }
    // One at a time finds out whether Gladia works again, and each costs a slot.
    app.acme.wait_until_reason(&ids[0], "outcome_unknown").await;
    assert_eq!(app.slots_held().await, 2);
    app.upstream.clear_faults().await;
    for id in &ids[1..] {
        app.acme.wait_until_done(id).await;
    }
    assert_eq!(app.slots_held().await, 2);
    for (number, id) in [&first, &ids[0]].into_iter().enumerate() {
        let attempt = app.attempt(id).await;
        let gladia_id = format!("unseen-{number}");
        app.call_back(attempt.id, success(&gladia_id, "words"))
            .await;
        app.acme.wait_until_done(id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_after_the_acceptance_leaves_the_outcome_unknown() {
    let app = TestApp::start().await;
    let fault = json!({ "operation": "create", "kind": "status_after", "status": 502 });
    is_unknown_and_settled_by_its_callback(app, Some(fault), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_from_something_before_gladia_leaves_the_outcome_unknown() {
    for status in [200, 201, 400, 404, 429, 502] {
        let app = TestApp::start().await;
        let fault = json!({
            "operation": "create", "kind": "status", "status": status,
            "body": "<html><title>Just a moment...</title></html>",
        });
        is_unknown_and_settled_by_its_callback(app, Some(fault), false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_gladia_has_no_such_route_nothing_is_refused_and_nothing_counts_as_gone() {
    let mut app = TestApp::start().await;
    let done = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&done).await;
    assert!(app.replicas[0].stop(DRAIN).await);
    let wrong = format!("{}nowhere", app.upstream.simulator.url());
    app.add_replica(&[("GLADIA_API_URL", &wrong)]).await;
    let caller = app.acme.at(&app.replicas[1].base);
    let id = caller.start("b.mp3").await;
    let paused: String = eventually("pause", async || {
        app.scalar::<Option<String>>("SELECT pause_reason FROM dispatch")
            .await
    })
    .await;
    assert_eq!(paused, "gladia_unreachable");
    assert_eq!(caller.job(&id).await["status"], "queued");
    assert_eq!(caller.delete(&done).await.status, 204);
    let tries = "SELECT coalesce(max(tries), 0) FROM upstream_deletions";
    eventually("try", async || {
        (app.scalar::<i32>(tries).await > 0).then_some(())
    })
    .await;
    let receipt = caller.get(&format!("/v1/transcriptions/{done}")).await;
    let receipt = receipt.problem(410, "transcription-deleted");
    assert_eq!(receipt["erased"]["gladia"]["status"], "pending");
    assert!(app.replicas[1].stop(DRAIN).await);
    // With the right address everything goes on.
    app.add_replica(&[]).await;
    app.set_clock_ahead("2 minutes").await;
    let caller = app.acme.at(&app.replicas[2].base);
    caller.wait_until_done(&id).await;
    eventually("receipt", async || {
        let receipt = caller.get(&format!("/v1/transcriptions/{done}")).await;
        let receipt = receipt.problem(410, "transcription-deleted");
        (receipt["erased"]["gladia"]["status"] == "deleted").then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_leaves_the_outcome_unknown() {
    let app = TestApp::start().await;
    let fault = json!({
        "operation": "create", "kind": "status", "status": 307,
        "headers": { "location": "/v2/pre-recorded" },
    });
    is_unknown_and_settled_by_its_callback(app, Some(fault), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_after_the_body_leaves_the_outcome_unknown() {
    for (kind, accepted) in [("drop_after", true), ("drop_before", false)] {
        let app = TestApp::start().await;
        let fault = json!({ "operation": "create", "kind": kind });
        is_unknown_and_settled_by_its_callback(app, Some(fault), accepted).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_create_has_a_connection_of_its_own() {
    let app = TestApp::builder().with_gladia_relay().start().await;
    let mut connections = Vec::new();
    for _ in 0..3 {
        // Its answer is read by then, so its connection could be used again.
        let (_, attempt, gladia_id) = processing(&app).await;
        connections.push(app.gladia().connections());
        app.call_back(attempt.id, success(&gladia_id, "words"))
            .await;
    }
    assert_eq!(connections, [1, 2, 3]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_in_time_leaves_the_outcome_unknown() {
    let app = TestApp::builder()
        .set("GLADIA_CREATE_TIMEOUT_SECONDS", 1)
        .start()
        .await;
    let fault = json!({ "operation": "create", "kind": "delay", "milliseconds": 4000, "times": 1 });
    is_unknown_and_settled_by_its_callback(app, Some(fault), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_attempt_is_completed_by_gladias_own_callback() {
    let app = TestApp::start().await;
    let faults = json!([
        { "operation": "create", "kind": "drop_after", "times": 1 },
        { "operation": "callback", "kind": "delay", "milliseconds": 1500, "times": 1 },
    ]);
    app.upstream.fault(&faults).await;
    let id = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_reason(&id, "outcome_unknown").await;
    let done = app.acme.wait_until_done(&id).await;
    let jobs = app.upstream.jobs().await;
    assert_eq!(done["gladia_id"], jobs[0]["id"]);
    assert_eq!(app.upstream.count("creates_received").await, 1);
    assert_eq!(
        app.events(&id).await,
        ["queued", "submitting", "unknown", "done"]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_refuses_fails_at_once() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 1).start().await;
    let fault = json!({ "operation": "create", "kind": "status", "status": 400, "times": 1 });
    app.upstream.fault(&fault).await;
    let id = app.acme.start("a.mp3").await;
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["type"], "gladia_refused");
    assert_eq!(job["error"]["code"], 400);
    assert!(
        job["error"]["message"]
            .as_str()
            .unwrap()
            .contains("Bad Request")
    );
    let attempt = app.attempt(&id).await;
    assert_eq!(
        (attempt.state.as_str(), attempt.http_status),
        ("refused", Some(400))
    );
    // The one slot is free again.
    app.acme
        .wait_until_done(&app.acme.start("b.mp3").await)
        .await;
    assert_eq!(app.attempts(&id).await.len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_field_in_gladias_error_leaves_nothing_unknown() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 1).start().await;
    let answers = |status: u16, body: &Value| {
        json!({
            "operation": "create", "kind": "status", "status": status, "times": 1, "body": body.to_string(),
            "headers": { "content-type": "application/json" },
        })
    };
    let busy =
        json!({ "statusCode": 429, "message": "Rate limit exceeded.", "validation_errors": null });
    app.upstream.fault(&answers(429, &busy)).await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    let attempts = app.attempts(&id).await;
    let states: Vec<&str> = attempts
        .iter()
        .map(|attempt| attempt.state.as_str())
        .collect();
    assert_eq!(states, ["not_sent", "done"]);

    let sentences = json!(["a must be b", "c should not exist"]);
    let refusal = json!({ "statusCode": 400, "message": sentences, "error": "Bad Request" });
    app.upstream.fault(&answers(400, &refusal)).await;
    let id = app.acme.start("b.mp3").await;
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["type"], "gladia_refused");
    let message = job["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("a must be b; c should not exist"),
        "{message}"
    );
    assert_eq!(app.slots_held().await, 0);
    app.finish().await;
}

/// A job whose attempt comes back from a busy Gladia, after an older one that was given up turned out to be there, of which no
/// callback comes. When it is to be asked for, or NULL where that is over.
async fn an_older_attempt_turned_out_to_be_there(app: &TestApp, next_look_at: &str) -> String {
    let fault = json!({ "operation": "create", "kind": "status", "status": 429, "times": 1 });
    app.upstream.fault(&fault).await;
    app.gladia().hold_answers();
    let id = app.acme.start("a.mp3").await;
    app.upstream.wait_for("creates_received", 1).await;
    let older = uuid::Uuid::now_v7();
    let create = json!({ "audio_url": "https://audio.example/a.mp3",
        "custom_metadata": { "gladia_gateway_attempt": older } });
    let url = format!("{}v2/pre-recorded", app.upstream.simulator.url());
    let created = app
        .http
        .post(url)
        .header("x-gladia-key", crate::support::upstream::GLADIA_KEY);
    let created = created.json(&create).send().await.unwrap();
    assert_eq!(created.status(), 201);
    let created: serde_json::Value = created.json().await.unwrap();
    let gladia_id = created["id"].as_str().unwrap();
    app.execute(&format!(
        "INSERT INTO attempts (id, job_id, number, state, key_id, worker, send_until, lease_until, gladia_id,
                               answered_at, finished_at, next_look_at)
         SELECT '{older}', job_id, 2, 'not_sent', key_id, worker, send_until, lease_until, '{gladia_id}', gateway_now(),
                gateway_now(), {next_look_at}
         FROM attempts WHERE job_id = '{id}'"
    ))
    .await;
    app.gladia().release_answers();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_comes_back_into_line_is_not_sent_again_where_gladia_has_an_older_attempt() {
    let app = TestApp::builder().with_gladia_relay().start().await;
    let later = "gateway_now() + interval '1 hour'";
    let id = an_older_attempt_turned_out_to_be_there(&app, later).await;
    app.acme.wait_until_done(&id).await;
    let attempts = app.attempts(&id).await;
    let states: Vec<_> = attempts.iter().map(|one| one.state.as_str()).collect();
    assert_eq!(states, ["not_sent", "done"]);
    assert_eq!(app.upstream.count("creates_received").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_comes_back_into_line_is_sent_again_where_its_older_attempt_came_to_nothing() {
    let app = TestApp::builder()
        .with_gladia_relay()
        .doubles_a_job()
        .start()
        .await;
    let id = an_older_attempt_turned_out_to_be_there(&app, "NULL").await;
    app.acme.wait_until_done(&id).await;
    let attempts = app.attempts(&id).await;
    let states: Vec<_> = attempts.iter().map(|one| one.state.as_str()).collect();
    assert_eq!(states, ["not_sent", "not_sent", "done"]);
    assert_eq!(app.upstream.count("creates_received").await, 3);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_process_went_silent_is_unknown_and_not_sent_again() {
    let app = TestApp::builder().with_gladia_relay().start().await;
    app.gladia().hold_answers();
    let id = app.acme.start("endless.mp3").await;
    app.upstream.wait_for("creates_accepted", 1).await;
    app.set_clock_ahead("5 minutes").await;
    let job = app.acme.wait_until_reason(&id, "outcome_unknown").await;
    assert_eq!(job["status"], "queued");
    assert_eq!(app.slots_held().await, 1);
    // The process was only slow: what it learns is still true.
    app.gladia().release_answers();
    let job = app.acme.wait_until(&id, "processing").await;
    let jobs = app.upstream.jobs().await;
    assert_eq!(job["gladia_id"], jobs[0]["id"]);
    let attempt = app.attempt(&id).await;
    app.call_back(
        attempt.id,
        success(jobs[0]["id"].as_str().unwrap(), "in the end"),
    )
    .await;
    app.acme.wait_until_done(&id).await;
    assert_eq!(app.upstream.count("creates_received").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_gladia_never_delivers_fails_at_its_deadline_and_a_late_success_completes_it() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 1).start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    app.set_clock_ahead("2 hours").await;
    // Not yet: Gladia may work on a job for so long.
    let behind = app.acme.start("a.mp3").await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(app.acme.job(&id).await["status"], "processing");

    app.set_clock_ahead("3 hours").await;
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["type"], "result_missing");
    let attempt = app.attempt(&id).await;
    assert_eq!(attempt.state, "expired");
    // The slot serves the next.
    app.acme.wait_until_done(&behind).await;

    let gladia_id = attempt.gladia_id.unwrap();
    app.call_back(attempt.id, failure(&gladia_id, 500, "late failure"))
        .await;
    // The error stays what it was, and the caller learns that a retry cannot double the bill.
    let after = app.acme.job(&id).await["error"].clone();
    for field in ["type", "code", "message"] {
        assert_eq!(after[field], job["error"][field]);
    }
    let doubles = |error: &Value| error["retry"]["may_be_billed_twice"].clone();
    assert_eq!(
        (doubles(&job["error"]), doubles(&after)),
        (json!(true), json!(false))
    );
    app.call_back(attempt.id, success(&gladia_id, "late success"))
        .await;
    let done = app.acme.wait_until_done(&id).await;
    let words = &done["result"]["transcription"]["full_transcript"];
    assert_eq!(words, "late success");
    app.finish().await;
}
