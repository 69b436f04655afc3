//! What is not undone when a clock is set right takes two of them: the database's, and the wall clock of the process at hand.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use gladia_gateway::config::ServeSettings;

use crate::support::{TestApp, audio, builder::Builder, eventually, receiver::Receiver};

/// What the wall clocks of tests say, in microseconds: of each test its own, by its number.
static CLOCKS: [AtomicI64; 5] = [const { AtomicI64::new(0) }; 5];

/// A clock that stands where its test has set it.
fn standing<const CLOCK: usize>() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(CLOCKS[CLOCK].load(Ordering::Relaxed)).unwrap()
}

fn set<const CLOCK: usize>(now: DateTime<Utc>) {
    CLOCKS[CLOCK].store(now.timestamp_micros(), Ordering::Relaxed);
}

/// Gateways whose own wall clock stands.
fn with_clock<const CLOCK: usize>() -> Builder {
    let standing: fn(&mut ServeSettings) = |settings| settings.process_now = standing::<CLOCK>;
    TestApp::builder().tune(standing)
}

/// The same, which keep things for an hour.
fn with_retention<const CLOCK: usize>() -> Builder {
    with_clock::<CLOCK>()
        .set("RETENTION_SECONDS", 3600)
        .set("EVENT_RETENTION_SECONDS", 3600)
}

/// The real time.
async fn now(app: &TestApp) -> DateTime<Utc> {
    app.scalar("SELECT clock_timestamp()").await
}

/// An instant behind all that has happened, and before all that comes.
async fn instant_between(app: &TestApp) -> DateTime<Utc> {
    // As exactly as ids tell it.
    let between = now(app).await + Duration::from_millis(1);
    eventually("later instant", async || {
        (now(app).await > between).then_some(())
    })
    .await;
    between
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_clock_that_is_ahead_ends_no_job_that_gladia_is_at_work_on() {
    let app = with_clock::<0>().start().await;
    set::<0>(now(&app).await);
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    app.set_clock_ahead("3 hours").await;
    app.wait_for_looks(&id, 1).await;
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    assert_eq!(app.slots_held().await, 1);

    // It is looked at again when its time is up by the other one, too.
    let end = now(&app).await + Duration::from_mins(2 * 60 + 15);
    set::<0>(end - Duration::from_secs(20));
    let looks: i32 = app.scalar("SELECT looks FROM attempts").await;
    app.execute("UPDATE attempts SET next_look_at = gateway_now()")
        .await;
    let rests = app.wait_for_looks(&id, looks + 1).await;
    assert!(rests <= 20.0, "{rests}");
    assert_eq!(app.slots_held().await, 1);

    // Once both say so, it is given up.
    set::<0>(now(&app).await + Duration::from_hours(3));
    app.set_clock_ahead("4 hours").await;
    app.acme.wait_until(&id, "error").await;
    assert_eq!(app.slots_held().await, 0);
    app.end(&id).await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_nobody_asks_for_are_given_back_once_two_clocks_say_so() {
    let app = with_clock::<1>()
        .set("GLADIA_ZERO_DATA_RETENTION", true)
        .start()
        .await;
    let due = app.acme.start("endless-due.mp3").await;
    app.acme.wait_until(&due, "processing").await;
    let between = instant_between(&app).await;
    let held = app.acme.start("endless-held.mp3").await;
    let attempt = app.wait_for_attempt(&held, "accepted").await;
    // By the database's clock it would be the first to end.
    app.execute(&format!(
        "UPDATE slots SET deadline_at = deadline_at - interval '1 minute' WHERE attempt_id = '{}'",
        attempt.id
    ))
    .await;
    set::<1>(between + Duration::from_mins(2 * 60 + 15));
    app.set_clock_ahead("3 hours").await;
    let job = app.acme.wait_until(&due, "error").await;
    assert_eq!(job["error"]["type"], "result_missing");
    assert_eq!(app.acme.job(&held).await["status"], "processing");
    assert_eq!(app.slots_held().await, 1);
    app.end(&held).await;
    app.acme.wait_until_done(&held).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_machine_had_claimed_when_it_was_suspended_is_not_sent() {
    static IS_SUSPENDED: AtomicBool = AtomicBool::new(true);
    static DAYS: AtomicI64 = AtomicI64::new(20_000);
    let app = TestApp::builder()
        .tune(|settings| {
            settings.process_now = || {
                // A day later whenever it is read.
                let days = i64::from(IS_SUSPENDED.load(Ordering::Relaxed));
                let days = DAYS.fetch_add(days, Ordering::Relaxed);
                DateTime::from_timestamp_secs(days * 24 * 60 * 60).unwrap()
            };
        })
        .start()
        .await;
    let id = app.acme.start("spoken.mp3").await;
    eventually("attempt that was not sent", async || {
        (app.rows("attempts WHERE state = 'not_sent'").await > 0).then_some(())
    })
    .await;
    IS_SUSPENDED.store(false, Ordering::Relaxed);
    app.set_clock_ahead("2 minutes").await;
    app.acme.wait_until_done(&id).await;
    assert_eq!(app.upstream.count("creates_received").await, 1);
    assert_eq!(
        app.rows("attempts WHERE state NOT IN ('not_sent', 'done')")
            .await,
        0
    );
    app.finish().await;
}

/// Waits until the retention of a transcription is seen to be over.
async fn wait_until_erased(app: &TestApp, id: &str, ended_before: DateTime<Utc>) {
    // The event that tells of it is new.
    let rows = format!(
        "(SELECT FROM jobs WHERE id = '{id}' AND deleted_at IS NULL
          UNION ALL SELECT FROM events WHERE job_id = '{id}' AND occurred_at < '{ended_before}') kept"
    );
    eventually("end of the retention", async || {
        (app.rows(&rows).await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_ahead_ends_no_retention() {
    let app = with_retention::<2>().start().await;
    let mut old = Vec::new();
    for _ in 0..2 {
        let id = app.acme.start("spoken.mp3").await;
        app.acme.wait_until_done(&id).await;
        old.push((id, instant_between(&app).await));
    }
    let kept = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_done(&kept).await;
    app.set_clock_ahead("2 days").await;
    // Twice, so that a sweep has begun and ended since the step.
    for (id, ended_before) in old {
        set::<2>(ended_before + Duration::from_hours(1));
        wait_until_erased(&app, &id, ended_before).await;
    }
    expect_kept(&app, &app.acme.job(&kept).await).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_behind_ends_no_retention() {
    let app = with_retention::<3>().start().await;
    let old = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_done(&old).await;
    let between = instant_between(&app).await;
    app.set_clock_ahead("-2 hours").await;
    // Somebody else's: claims read the line of the first from where it was.
    let kept = app.globex.start("spoken.mp3").await;
    app.globex.wait_until_done(&kept).await;
    set::<3>(between + Duration::from_hours(1));
    app.set_clock_ahead("61 minutes").await;
    // By what is stamped, the other one ended long before it.
    wait_until_erased(&app, &old, between).await;
    expect_kept(&app, &app.globex.job(&kept).await).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_behind_has_neither_files_nor_deliveries_forgotten() {
    let mut app = with_retention::<4>().start().await;
    let receiver = Receiver::start().await;
    let types = &["transcription.done"];
    let of_old = app.add_endpoint(&app.acme, &receiver.url(), types).await;
    let of_kept = app.add_endpoint(&app.globex, &receiver.url(), types).await;
    app.acme.keep(audio::short(), "old.wav").await;
    app.acme.start("spoken.mp3").await;
    app.wait_for_deliveries(&of_old, &["delivered"]).await;
    let between = instant_between(&app).await;
    app.set_clock_ahead("-2 hours").await;
    app.globex.keep(audio::short(), "kept.wav").await;
    app.globex.start("spoken.mp3").await;
    app.wait_for_deliveries(&of_kept, &["delivered"]).await;
    set::<4>(between + Duration::from_hours(1));
    app.set_clock_ahead("61 minutes").await;
    app.wait_for_deliveries(&of_old, &[]).await;
    assert_eq!(app.deliveries_to(&of_kept).await.len(), 1);
    // Each process looks for files when it starts, and then every hour.
    app.add_replica(&[]).await;
    eventually("end of a file", async || {
        (app.rows("uploads WHERE filename = 'old.wav'").await == 0).then_some(())
    })
    .await;
    assert_eq!(app.rows("uploads WHERE filename = 'kept.wav'").await, 1);
    app.finish().await;
}

async fn expect_kept(app: &TestApp, job: &serde_json::Value) {
    assert!(job["result"].is_object(), "{job}");
    assert_eq!(
        app.events(job["id"].as_str().unwrap()).await,
        ["queued", "submitting", "processing", "done"]
    );
}
