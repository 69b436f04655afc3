//! What is not undone when a clock is set right takes two of them: the database's, and the wall clock of the process at hand.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use gladia_gateway::config::ServeSettings;

use crate::support::{TestApp, builder::Builder, eventually};

/// What the wall clocks of tests say, in microseconds: of each test its own, by its number.
static CLOCKS: [AtomicI64; 4] = [const { AtomicI64::new(0) }; 4];

/// A clock that stands where its test has set it.
fn standing<const CLOCK: usize>() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(CLOCKS[CLOCK].load(Ordering::Relaxed)).unwrap()
}

fn set<const CLOCK: usize>(now: DateTime<Utc>) {
    CLOCKS[CLOCK].store(now.timestamp_micros(), Ordering::Relaxed);
}

/// Gateways whose own wall clock stands.
fn with_clock<const CLOCK: usize>() -> Builder {
    let standing: fn(&mut ServeSettings) =
        |settings| settings.retention.process_now = standing::<CLOCK>;
    TestApp::builder().tune(standing)
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
