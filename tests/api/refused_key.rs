//! What Gladia refuses the gateway itself: its key everything, all until it is paid, or what one job asks for; or the address of
//! its callbacks.

use serde_json::{Value, json};

use crate::support::{TestApp, audio, eventually, upstream::GLADIA_KEY};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_pauses_dispatch_and_keeps_the_queue() {
    let app = TestApp::start().await;
    let fault = json!({ "operation": "create", "kind": "status", "status": 401 });
    app.upstream.fault(&fault).await;
    let id = app.acme.start("a.mp3").await;
    let waiting = app.acme.wait_until_reason(&id, "gladia_key_refused").await;
    assert_eq!(waiting["status"], "queued");
    let reason = eventually("pause", async || {
        app.scalar::<Option<String>>("SELECT pause_reason FROM dispatch")
            .await
    })
    .await;
    assert_eq!(reason, "gladia_key_refused");
    let second = app.acme.start("b.mp3").await;
    assert_eq!(app.slots_held().await, 0);
    assert_eq!(app.attempts(&second).await.len(), 0);

    app.upstream.clear_faults().await;
    app.set_clock_ahead("1 minute").await;
    app.acme.wait_until_done(&id).await;
    app.acme.wait_until_done(&second).await;
    assert_eq!(app.upstream.count("creates_received").await, 3);
    let paused: bool = app
        .scalar("SELECT paused_until IS NOT NULL AND paused_until > gateway_now() FROM dispatch")
        .await;
    assert!(!paused);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_not_paid_for_ends_no_job() {
    let app = TestApp::start().await;
    let fault = json!({ "operation": "any", "kind": "status", "status": 402 });
    app.upstream.fault(&fault).await;
    let id = app.acme.start("a.mp3").await;
    let waiting = app.acme.wait_until_reason(&id, "gladia_key_refused").await;
    assert_eq!(waiting["status"], "queued");
    let second = app.acme.start("b.mp3").await;
    assert_eq!(app.slots_held().await, 0);
    assert_eq!(app.attempts(&second).await.len(), 0);
    // However often it is tried.
    for minutes in 1..=3 {
        app.set_clock_ahead(&format!("{minutes} minutes")).await;
        let tried = usize::try_from(minutes + 1).unwrap();
        eventually("another try", async || {
            let attempts = "attempts WHERE state = 'refused' AND http_status = 402";
            (usize::try_from(app.rows(attempts).await).unwrap() == tried).then_some(())
        })
        .await;
    }
    // Nor is it the fault of a file.
    let refused = app.acme.upload(audio::short(), "c.wav", None).await;
    refused.problem(503, "upstream-unavailable");

    app.upstream.clear_faults().await;
    app.set_clock_ahead("1 hour").await;
    app.acme.wait_until_done(&id).await;
    app.acme.wait_until_done(&second).await;
    app.finish().await;
}

/// What Gladia answers where a plan or a balance lacks what is asked for.
fn beyond_the_plan(status: u16) -> String {
    let body = json!({ "statusCode": status, "message": "Your plan does not allow this", "request_id": "G-1",
        "timestamp": "2026-01-02T03:04:05.678Z", "path": "/v2/pre-recorded" });
    body.to_string()
}

/// What Gladia answers where these fields are wrong.
fn invalid(errors: &Value) -> String {
    let message = "Invalid parameter(s). See validation_errors for more details.";
    let body = json!({ "statusCode": 400, "message": message, "request_id": "G-1", "validation_errors": errors,
        "timestamp": "2026-01-02T03:04:05.678Z", "path": "/v2/pre-recorded" });
    body.to_string()
}

/// Nobody waits for pauses. What they have found out stays.
async fn skip_the_pause(app: &TestApp) {
    app.execute("UPDATE dispatch SET paused_until = NULL, pause_reason = NULL")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_that_the_key_may_not_ask_for_ends_and_the_others_are_sent() {
    ends_and_the_others_are_sent(403).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_that_the_account_cannot_pay_for_ends_and_the_others_are_sent() {
    ends_and_the_others_are_sent(402).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_beside_which_the_callback_address_is_refused_ends_and_the_others_are_sent() {
    let errors = json!(["callback_config.url must be a URL address"]);
    ends_while_others_are_sent(400, invalid(&errors)).await;
}

async fn ends_and_the_others_are_sent(status: u16) {
    ends_while_others_are_sent(status, beyond_the_plan(status)).await;
}

async fn ends_while_others_are_sent(status: u16, answer: String) {
    let app = TestApp::start().await;
    let fault = json!({ "operation": "create", "kind": "status", "status": status, "match": "beyond-the-plan",
        "body": answer, "headers": { "content-type": "application/json" } });
    app.upstream.fault(&fault).await;
    let refused = app.acme.start("beyond-the-plan.mp3").await;
    let show = async |id: &str| {
        app.acme
            .get(&format!("/v1/transcriptions/{id}"))
            .await
            .json()
    };
    let mut others = 0;
    let job = loop {
        let job = show(&refused).await;
        if job["status"] == "error" {
            break job;
        }
        others += 1;
        assert!(others < 20, "it is asked for again and again: {job}");
        let other = app.acme.start(&format!("{others}.mp3")).await;
        eventually("end of another job", async || {
            skip_the_pause(&app).await;
            (show(&other).await["status"] == "done").then_some(())
        })
        .await;
    };
    assert_eq!(job["error"]["type"], "gladia_refused");
    assert_eq!(job["error"]["code"], status);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_forbidden_everything_ends_no_job() {
    let app = TestApp::start().await;
    let fault = json!({ "operation": "create", "kind": "status", "status": 403, "body": beyond_the_plan(403),
        "headers": { "content-type": "application/json" } });
    app.upstream.fault(&fault).await;
    let one = app.acme.start("a.mp3").await;
    let other = app.acme.start("b.mp3").await;
    eventually("many refusals of both", async || {
        skip_the_pause(&app).await;
        let refusals = (
            app.attempts(&one).await.len(),
            app.attempts(&other).await.len(),
        );
        (refusals.0 >= 4 && refusals.1 >= 4).then_some(())
    })
    .await;
    app.upstream.clear_faults().await;
    let not_done = format!("jobs WHERE id IN ('{one}', '{other}') AND status <> 'done'");
    eventually("end of both", async || {
        // One may have been refused just before.
        skip_the_pause(&app).await;
        (app.rows(&not_done).await == 0).then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_address_that_gladia_refuses_ends_no_job() {
    let app = TestApp::start().await;
    let errors = json!(["callback_config.url must be a URL address"]);
    let fault = json!({ "operation": "create", "kind": "status", "status": 400, "body": invalid(&errors),
        "headers": { "content-type": "application/json" } });
    app.upstream.fault(&fault).await;
    let mut ids = vec![app.acme.start("a.mp3").await];
    let waiting = app
        .acme
        .wait_until_reason(&ids[0], "gladia_key_refused")
        .await;
    assert_eq!(waiting["status"], "queued");
    let paused =
        "dispatch WHERE paused_until > gateway_now() AND pause_reason = 'gladia_refuses_gateway'";
    assert_eq!(app.rows(paused).await, 1);
    for audio in ["b.mp3", "c.mp3"] {
        ids.push(app.acme.start(audio).await);
    }
    // One finds out for all of them, each time that it is tried again.
    app.set_clock_ahead("1 minute").await;
    eventually("another try", async || {
        let refused = "attempts WHERE state = 'refused' AND http_status = 400";
        (app.rows(refused).await == 2).then_some(())
    })
    .await;
    assert_eq!(app.rows("jobs WHERE status = 'queued'").await, 3);
    assert_eq!(app.upstream.count("creates_received").await, 2);
    let metrics = app.acme.with_key(None).get("/metrics").await.text();
    let counted = "gateway_submissions_total{outcome=\"gateway_refused\"} 2";
    assert!(metrics.contains(counted), "{metrics}");

    app.upstream.clear_faults().await;
    app.set_clock_ahead("1 hour").await;
    for id in &ids {
        app.acme.wait_until_done(id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_else_is_wrong_with_a_job_ends_it() {
    let app = TestApp::start().await;
    let errors = json!([
        "audio_url must be a URL address",
        "callback_config.url must be a URL address"
    ]);
    let fault = json!({ "operation": "create", "kind": "status", "status": 400, "body": invalid(&errors),
        "headers": { "content-type": "application/json" } });
    app.upstream.fault(&fault).await;
    let id = app.acme.start("a.mp3").await;
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["type"], "gladia_refused");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_repeats_of_our_key_gets_to_no_caller() {
    let app = TestApp::start().await;
    let errors = json!([format!("model may not be used by\n{GLADIA_KEY}")]);
    let fault = json!({ "operation": "create", "kind": "status", "status": 400, "body": invalid(&errors),
        "headers": { "content-type": "application/json" } });
    app.upstream.fault(&fault).await;
    let id = app.acme.start("a.mp3").await;
    let job = app.acme.wait_until(&id, "error").await;
    let told = job["error"]["message"].as_str().unwrap();
    assert!(told.contains("model may not be used by …"), "{told}");
    app.finish().await;
}
