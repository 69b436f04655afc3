//! Receivers that hang or fail: nobody else waits for them, and they are left alone.

use futures_util::{StreamExt, stream};
use gladia_gateway::domain::access::Scope;

use crate::support::{
    TestApp,
    database::until_statements_wait,
    deliveries::Endpoint,
    eventually,
    receiver::{Receiver, Reply},
};

const DONE: &[&str] = &["transcription.done"];

/// More lanes than there are places for, if each took as many as a lane can have.
const HANGING: usize = TENANTS.len() * HANGING_EACH;

/// Whose they are.
const TENANTS: [&str; 5] = ["one", "two", "three", "four", "five"];

/// No more than a tenant may have.
const HANGING_EACH: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_hang_do_not_delay_a_healthy_one() {
    let app = TestApp::start().await;
    let (hanging, healthy) = (
        Receiver::answering(Reply::Held(200)).await,
        Receiver::start().await,
    );
    let mut hangs = Vec::new();
    let mut callers = Vec::new();
    for tenant in TENANTS {
        let caller = app.caller(tenant, Scope::Write).await;
        for _ in 0..HANGING_EACH {
            hangs.push(app.add_endpoint(&caller, &hanging.url(), DONE).await);
        }
        callers.push(caller);
    }
    // The last lane in every order.
    let works = app.add_endpoint(&app.acme, &healthy.url(), DONE).await;
    for _ in 0..12 {
        for caller in &callers {
            caller.start("spoken.mp3").await;
        }
        app.acme.start("spoken.mp3").await;
    }
    app.wait_for_deliveries(&works, &["delivered"; 12]).await;
    // Nobody has let go of the others, and none of them has timed out yet.
    let ended: i64 = app
        .scalar(
            "SELECT count(*) FROM deliveries d JOIN delivery_attempts a ON a.delivery_id = d.id",
        )
        .await;
    assert_eq!(ended, 12);
    assert!(hanging.received().len() >= HANGING);
    hanging.release();
    stream::iter(&hangs)
        .for_each_concurrent(4, async |endpoint| {
            app.wait_for_deliveries(endpoint, &["delivered"; 12]).await;
        })
        .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_is_left_alone_then_asked_one_at_a_time_and_then_gets_everything() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(Reply::Status(500)).await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    let lane = format!("endpoint_id = '{}'", endpoint.id);
    for _ in 0..5 {
        app.acme.start("spoken.mp3").await;
    }
    app.wait_for_tries(&lane, 5).await;
    assert_eq!(app.lane(&endpoint).await, (5, true));

    // Due, but nothing is sent while the circuit is open.
    for _ in 0..4 {
        let id = app.acme.start("spoken.mp3").await;
        app.acme.wait_until_done(&id).await;
    }
    app.set_clock_ahead("10 seconds").await;
    eventually("nine deliveries that are due", async || {
        let due: i64 = app
            .scalar("SELECT count(*) FROM deliveries WHERE status = 'pending' AND next_try_at <= gateway_now()")
            .await;
        (due == 9).then_some(())
    })
    .await;
    assert_eq!(receiver.received().len(), 5);

    // Half open: one fails, and the circuit opens again.
    app.set_clock_ahead("50 seconds").await;
    app.wait_for_tries(&lane, 6).await;
    assert_eq!(app.lane(&endpoint).await, (6, true));
    assert_eq!(receiver.received().len(), 6);

    // Half open again: one is under way for as long as it takes, and no other one.
    receiver.reply(Reply::Held(200));
    let before = receiver.received().len();
    app.set_clock_ahead("3 minutes").await;
    receiver.wait_for(before + 1).await;
    let other = Receiver::start().await;
    let beside = app.add_endpoint(&app.acme, &other.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    app.wait_for_deliveries(&beside, &["delivered"]).await;
    assert_eq!(receiver.under_way(), 1);

    // It gets through, and everything follows.
    receiver.release();
    app.wait_for_deliveries(&endpoint, &["delivered"; 10]).await;
    assert_eq!(app.lane(&endpoint).await, (0, false));
    assert_eq!(receiver.received().len(), 6 + 10);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_at_which_nothing_gets_through_for_days_is_disabled_and_another_one_is_told() {
    let app = TestApp::start().await;
    let (receiver, watcher) = (
        Receiver::answering(Reply::Status(503)).await,
        Receiver::start().await,
    );
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    let types = &["webhook_endpoint.disabled"];
    let watching = app.add_endpoint(&app.acme, &watcher.url(), types).await;
    // Two failures short of it, and for long enough.
    app.execute(&format!(
        "UPDATE delivery_lanes SET failures = 18, failing_since = gateway_now() - interval '6 days',
                                   open_until = gateway_now() WHERE id = '{}'",
        endpoint.id
    ))
    .await;
    app.acme.start("spoken.mp3").await;
    app.wait_for_tries("true", 1).await;
    assert_eq!(app.deliveries_to(&endpoint).await[0].status, "pending");
    app.set_clock_ahead("30 minutes").await;
    let delivery = app.wait_for_deliveries(&endpoint, &["dead"]).await[0].clone();
    assert_eq!(delivery.dead_reason.as_deref(), Some("endpoint_disabled"));
    app.wait_for_deliveries(&watching, &["delivered"]).await;
    let event = watcher.received()[0].json();
    assert_eq!(
        event["data"]["webhook_endpoint_id"],
        endpoint.id.to_string()
    );
    assert_eq!(event["data"]["disabled_reason"], "failing");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_enabled_right_before_it_is_given_up_stays_enabled() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(Reply::Status(503)).await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.execute(
        "UPDATE delivery_lanes SET failures = 19, failing_since = gateway_now() - interval '6 days',
                                   open_until = gateway_now()",
    )
    .await;
    let mut enables = app.pool.begin().await.unwrap();
    sqlx::query("UPDATE webhook_endpoints SET updated_at = gateway_now()")
        .execute(&mut *enables)
        .await
        .unwrap();
    app.acme.start("spoken.mp3").await;
    app.wait_for_tries("true", 1).await;
    until_statements_wait(&app, 1).await;
    sqlx::query("UPDATE delivery_lanes SET failures = 0, failing_since = NULL, open_until = NULL")
        .execute(&mut *enables)
        .await
        .unwrap();
    enables.commit().await.unwrap();
    receiver.reply(Reply::Status(200));
    app.set_clock_ahead("1 hour").await;
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    let path = format!("/v1/webhook-endpoints/{}", endpoint.id);
    assert_eq!(app.acme.get(&path).await.expect(200)["status"], "enabled");
    app.finish().await;
}

async fn wait_for_rows(app: &TestApp, endpoint: &Endpoint, count: usize) {
    eventually("delivery of every event", async || {
        (app.deliveries_to(endpoint).await.len() == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_longer_than_the_schedule_lasts_expires_at_the_next_failure_and_not_before() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(Reply::Status(500)).await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    for _ in 0..7 {
        app.acme.start("spoken.mp3").await;
    }
    app.wait_for_tries("true", 5).await;
    wait_for_rows(&app, &endpoint, 7).await;
    let tried = receiver.received().len();
    // All of this while no gateway ran, say: nobody knows whether the receiver still fails.
    app.set_clock_ahead("37 hours").await;
    let deliveries = eventually("expired deliveries", async || {
        let rows = app.deliveries_to(&endpoint).await;
        let expired = rows
            .iter()
            .filter(|row| row.dead_reason.as_deref() == Some("expired"));
        (expired.count() >= 6).then_some(rows)
    })
    .await;
    // One was tried, and its failure told of all.
    assert_eq!(receiver.received().len(), tried + 1);
    assert!(
        deliveries
            .iter()
            .all(|row| row.dead_reason.as_deref() != Some("exhausted"))
    );

    // Of one that works again nothing is lost.
    let (later, works) = (
        Receiver::answering(Reply::Status(500)).await,
        &["transcription.queued"],
    );
    let lucky = app.add_endpoint(&app.acme, &later.url(), works).await;
    for _ in 0..7 {
        app.acme.start("spoken.mp3").await;
    }
    app.wait_for_tries(&format!("endpoint_id = '{}'", lucky.id), 5)
        .await;
    wait_for_rows(&app, &lucky, 7).await;
    later.reply(Reply::Status(200));
    app.set_clock_ahead("80 hours").await;
    app.wait_for_deliveries(&lucky, &["delivered"; 7]).await;
    app.finish().await;
}
