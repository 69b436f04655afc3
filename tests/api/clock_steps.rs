//! The database's clock is set ahead or back: nothing is sent twice for it, and nothing stands still.

use std::time::{Duration, Instant};

use gladia_gateway::crash_points::CrashPoint;
use serde_json::json;

use crate::support::{
    BOUND, TestApp,
    builder::{Builder, DRAIN},
    eventually_within,
    look_ups::{lose_creates, refuse_creates},
    process::Process,
    receiver::{Receiver, Reply},
};

/// Gladia's own error envelope for a filter that it does not understand.
const FILTER_REFUSED: &str = r#"{"statusCode":400,"message":"Bad Request","timestamp":"2026-01-02T03:04:05.678Z",
    "path":"/v2/pre-recorded","request_id":"G-1","validation_errors":["custom_metadata must be an object"]}"#;

/// Whose request could leave later than any can, as far as the rows say.
const SENT_FAR_AHEAD: &str = "attempts WHERE send_until > gateway_now() + interval '61 seconds'";

fn builder() -> Builder {
    TestApp::builder()
        .set("SETTLING_SECONDS", 1)
        .set("SEND_WINDOW_SECONDS", 1)
}

/// Gateways whose own clock is the real one: the database's alone is moved.
fn with_own_clock(create_timeout_seconds: u32) -> Builder {
    builder()
        .set("GLADIA_CREATE_TIMEOUT_SECONDS", create_timeout_seconds)
        .tune(|settings| settings.settling.monotonic_now = Instant::now)
}

/// Sets the clock back to the real one. Each process looks what lies too far ahead when it starts, and then every minute.
async fn set_clock_back(app: &mut TestApp) {
    app.set_clock_ahead("0 seconds").await;
    app.add_replica(&[]).await;
    let newest = app.replicas.last().unwrap();
    app.acme = app.acme.at(&newest.base);
}

/// What another worker holds at that moment is left for the next look, a minute later.
async fn wait_until_nothing(app: &TestApp, rows: &str) {
    let two_looks = BOUND + Duration::from_mins(1);
    eventually_within(two_looks, &format!("end of {rows}"), async || {
        (app.rows(rows).await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_ahead_while_a_create_is_under_way_sends_nothing_twice() {
    let app = with_own_clock(7).start().await;
    let delay = json!({ "operation": "create", "kind": "delay", "milliseconds": 5500, "match": "endless-slow" });
    app.upstream.fault(&delay).await;
    let id = app.acme.start("endless-slow.mp3").await;
    app.wait_for_attempt(&id, "submitting").await;
    app.set_clock_ahead("1 hour").await;
    app.wait_for_attempt(&id, "unknown").await;
    // Claimed later by the clock that was set, and in the list.
    let witness = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&witness, "processing").await;

    app.acme.wait_until(&id, "processing").await;
    assert!(app.upstream.count("lists").await > 0);
    assert_eq!(app.attempts(&id).await.len(), 1);
    assert_eq!(app.upstream.count("creates_received").await, 2);
    app.end(&witness).await;
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_counts_once_the_process_has_known_of_it_for_long_enough_itself() {
    let app = with_own_clock(3).start().await;
    refuse_creates(&app, 1).await;
    let started = Instant::now();
    let id = app.acme.start("a.mp3").await;
    app.wait_for_attempt(&id, "unknown").await;
    app.set_clock_ahead("1 hour").await;
    let witness = app.acme.start("endless.mp3").await;
    app.acme.wait_until_done(&id).await;
    // The send window, the create timeout, the settling time and the time between two absences.
    assert!(started.elapsed() >= Duration::from_millis(1000 + 3000 + 1000 + 250));
    assert_eq!(app.settled_by(&id).await, Some("look_up".to_owned()));
    app.end(&witness).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_finds_what_was_sent_while_the_clock_was_ahead() {
    let mut app = builder().start().await;
    app.set_clock_ahead("1 hour").await;
    let fault = json!([
        { "operation": "create", "kind": "drop_after", "times": 1 },
        { "operation": "list", "kind": "status", "status": 503 },
    ]);
    app.upstream.fault(&fault).await;
    let id = app.acme.start("endless.mp3").await;
    app.wait_for_attempt(&id, "unknown").await;
    set_clock_back(&mut app).await;
    app.upstream.clear_faults().await;
    let fault = json!({ "operation": "list", "kind": "status", "status": 400, "match": "custom_metadata",
        "body": FILTER_REFUSED, "headers": { "content-type": "application/json" } });
    app.upstream.fault(&fault).await;
    wait_until_nothing(&app, SENT_FAR_AHEAD).await;
    app.set_clock_ahead("2 minutes").await;
    app.acme.wait_until(&id, "processing").await;
    assert_eq!(app.upstream.count("creates_received").await, 1);
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_of_gladias_clients_is_not_the_second_of_one_from_while_the_clock_was_ahead() {
    let mut app = TestApp::start().await;
    app.pause_dispatch().await;
    let job = json!({ "audio_url": "https://audio.example/a.mp3" });
    app.set_clock_ahead("1 hour").await;
    let first = app.acme.v2_start(&job).await;
    assert!(app.replicas[0].stop(DRAIN).await);
    assert_eq!(app.rows("idempotency_keys").await, 1);
    set_clock_back(&mut app).await;
    let second = app.acme.v2_start(&job).await;
    assert_ne!(second, first);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_of_a_clock_that_was_ahead_ends() {
    let mut app = TestApp::start().await;
    app.set_clock_ahead("1 hour").await;
    let busy = json!({ "operation": "create", "kind": "status", "status": 429, "times": 1,
        "headers": { "retry-after": "120" } });
    app.upstream.fault(&busy).await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_reason(&id, "gladia_busy").await;
    crate::support::eventually("pause", async || {
        (app.rows("dispatch WHERE paused_until > gateway_now()")
            .await
            == 1)
            .then_some(())
    })
    .await;
    set_clock_back(&mut app).await;
    let far = "dispatch WHERE paused_until > gateway_now() + interval '5 minutes 1 second'";
    wait_until_nothing(&app, far).await;
    assert_eq!(app.rows("attempts").await, 1);
    app.set_clock_ahead("6 minutes").await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_left_behind_while_the_clock_was_ahead_goes_on() {
    let mut app = builder().start().await;
    app.set_clock_ahead("1 hour").await;
    app.pause_dispatch().await;
    let id = app.acme.start("spoken.mp3").await;
    assert!(app.replicas[0].stop(DRAIN).await);
    app.resume_dispatch().await;
    let dies_at = CrashPoint::SubmitClaimed.name();
    let process = Process::serve(&app, &[("GATEWAY_CRASH_AT", dies_at)]);
    assert!(process.ended_by().await.is_some());
    app.wait_for_attempt(&id, "submitting").await;
    set_clock_back(&mut app).await;
    let far = "attempts WHERE lease_until > gateway_now() + interval '3 minutes'";
    wait_until_nothing(&app, far).await;
    let far = "slots WHERE deadline_at > gateway_now() + interval '2 hours 16 minutes'";
    wait_until_nothing(&app, far).await;
    app.set_clock_ahead("3 minutes").await;
    app.acme.wait_until_done(&id).await;
    let states: Vec<String> = app
        .attempts(&id)
        .await
        .into_iter()
        .map(|attempt| attempt.state)
        .collect();
    assert_eq!(states, ["not_sent", "done"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_queued_while_the_clock_was_ahead_comes_before_what_follows() {
    let mut app = TestApp::builder().set("MAX_IN_FLIGHT", 1).start().await;
    app.set_clock_ahead("1 hour").await;
    // From where it was then, claims read the line.
    let before = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_done(&before).await;
    app.pause_dispatch().await;
    let mut ids = Vec::new();
    for ahead in ["50 seconds", "1 hour", "1 hour"] {
        app.set_clock_ahead(ahead).await;
        ids.push(app.acme.start("spoken.mp3").await);
    }
    set_clock_back(&mut app).await;
    let far = "jobs WHERE status = 'queued' AND queued_at > gateway_now() + interval '1 minute'";
    wait_until_nothing(&app, far).await;
    ids.push(app.acme.start("spoken.mp3").await);
    app.resume_dispatch().await;
    for id in &ids {
        app.acme.wait_until_done(id).await;
    }
    let claimed: Vec<String> = sqlx::query_scalar(
        "SELECT job_id::text FROM attempts WHERE job_id <> $1::uuid ORDER BY created_at",
    )
    .bind(&before)
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert_eq!(claimed, ids);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_looked_for_while_the_clock_was_ahead_is_looked_for() {
    let mut app = builder().start().await;
    app.set_clock_ahead("1 hour").await;
    app.execute(
        "UPDATE look_ups SET worker = 'gone', held_until = gateway_now() + interval '75 seconds'",
    )
    .await;
    lose_creates(&app, 1).await;
    let id = app.acme.start("endless.mp3").await;
    app.wait_for_attempt(&id, "unknown").await;
    set_clock_back(&mut app).await;
    let far = "look_ups WHERE held_until > gateway_now() + interval '76 seconds'";
    wait_until_nothing(&app, far).await;
    wait_until_nothing(&app, SENT_FAR_AHEAD).await;
    app.set_clock_ahead("2 minutes").await;
    app.acme.wait_until(&id, "processing").await;
    assert_eq!(app.upstream.count("creates_received").await, 1);
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_told_although_the_clock_was_ahead_when_it_failed() {
    let mut app = TestApp::start().await;
    let receiver = Receiver::start().await;
    receiver.reply_next([Reply::Status(500)]);
    let types = &["transcription.done"];
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), types).await;
    app.set_clock_ahead("1 hour").await;
    app.acme.start("spoken.mp3").await;
    app.wait_for_tries("true", 1).await;
    set_clock_back(&mut app).await;
    // Tried again after five seconds and their jitter.
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    wait_until_nothing(
        &app,
        "delivery_lanes WHERE last_failure_at > gateway_now() OR last_success_at > gateway_now()",
    )
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_was_not_sent_yet_while_the_clock_was_ahead_is_sent() {
    let mut app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let types = &["transcription.done"];
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), types).await;
    // Left alone for longer than the clock is ahead.
    app.execute("UPDATE delivery_lanes SET open_until = gateway_now() + interval '2 hours'")
        .await;
    app.set_clock_ahead("1 hour").await;
    app.acme.start("spoken.mp3").await;
    app.wait_for_deliveries(&endpoint, &["pending"]).await;
    set_clock_back(&mut app).await;
    app.execute("UPDATE delivery_lanes SET open_until = NULL")
        .await;
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_was_delivering_while_the_clock_was_ahead_is_delivered() {
    let mut app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let types = &["transcription.done"];
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), types).await;
    app.front.set_targets(Vec::new());
    let id = app.acme.start("lengthy.mp3").await;
    app.wait_for_attempt(&id, "accepted").await;
    assert!(app.replicas[0].stop(DRAIN).await);
    app.set_clock_ahead("1 hour").await;
    let dies_at = CrashPoint::DeliverClaimed.name();
    let mut process = Process::serve(&app, &[("GATEWAY_CRASH_AT", dies_at)]);
    app.front.set_targets(vec![process.address().await]);
    assert!(process.ended_by().await.is_some());
    assert_eq!(receiver.received().len(), 0);
    set_clock_back(&mut app).await;
    let far = "deliveries WHERE lease_until > gateway_now() + interval '76 seconds'";
    wait_until_nothing(&app, far).await;
    app.set_clock_ahead("2 minutes").await;
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_a_clock_was_ahead_at_keep_no_later_ones_in_the_log() {
    let app = TestApp::builder()
        .set("EVENT_RETENTION_SECONDS", 3600)
        .start()
        .await;
    let ahead = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_done(&ahead).await;
    // More than are looked at in one go.
    app.execute(&format!(
        "INSERT INTO events (tenant_id, job_id, type, occurred_at)
         SELECT tenant_id, job_id, type, occurred_at + interval '1 year' FROM events, generate_series(1, 600)
         WHERE job_id = '{ahead}' AND type = 'transcription.submitting'"
    ))
    .await;
    let later = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_done(&later).await;
    app.set_clock_ahead("61 minutes").await;
    wait_until_nothing(&app, &format!("events WHERE job_id = '{later}'")).await;
    app.finish().await;
}
