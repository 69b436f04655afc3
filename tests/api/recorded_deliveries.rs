//! What came of deliveries, written down once, whatever becomes of the database meanwhile.

use gladia_gateway::{db, domain::webhook_endpoint::DisabledReason};

use crate::support::{
    TestApp,
    database::{hold_lock, until_statements_wait},
    eventually,
    receiver::{Receiver, Reply},
};

const DONE: &[&str] = &["transcription.done"];

#[tokio::test(flavor = "multi_thread")]
async fn what_arrived_while_the_database_is_away_is_recorded_when_it_is_back_and_not_sent_again() {
    let app = TestApp::builder().with_database_relay().start().await;
    let receiver = Receiver::answering(Reply::Held(200)).await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    receiver.wait_for(1).await;
    app.database_relay().cut().await;
    receiver.release();
    eventually("answer", async || (receiver.under_way() == 0).then_some(())).await;
    app.database_relay().mend();
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    assert_eq!(receiver.received().len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_was_recorded_while_the_answer_got_lost_is_recorded_once() {
    let app = TestApp::builder().with_database_relay().start().await;
    let receiver = Receiver::answering(Reply::RetryAfter(503, 600)).await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$",
    )
    .await;
    app.execute(
        "CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON delivery_attempts DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION wait()",
    )
    .await;
    let holds_up = hold_lock(&app).await;
    app.acme.start("spoken.mp3").await;
    // The commit.
    until_statements_wait(&app, 1).await;
    app.database_relay().hold_answers();
    holds_up.rollback().await.unwrap();
    app.wait_for_tries("true", 1).await;
    app.database_relay().cut().await;
    app.database_relay().release_answers();

    // It is recorded again, and when this has the same lock a second time that is over.
    let lock = "SELECT FROM deliveries FOR UPDATE";
    let mut holds_up = app.pool.begin().await.unwrap();
    sqlx::query(lock).execute(&mut *holds_up).await.unwrap();
    app.database_relay().mend();
    until_statements_wait(&app, 1).await;
    holds_up.rollback().await.unwrap();
    let mut follows = app.pool.begin().await.unwrap();
    sqlx::query(lock).execute(&mut *follows).await.unwrap();
    follows.rollback().await.unwrap();
    assert_eq!(app.rows("delivery_attempts").await, 1);
    assert_eq!(app.lane(&endpoint).await.0, 1);
    assert_eq!(receiver.received().len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_up_at_an_endpoint_that_is_gone_meanwhile_ends_with_the_tries_that_were_made() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(Reply::Status(500)).await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    let condition = format!("endpoint_id = '{}'", endpoint.id);
    app.wait_for_tries(&condition, 1).await;
    // As after a 410 to another delivery, before it ends what waits.
    let mut conn = app.pool.acquire().await.unwrap();
    let id = endpoint.id.into();
    let disabled = db::webhook_endpoints::disable(&mut conn, id, None, DisabledReason::Gone);
    assert!(disabled.await.unwrap());
    drop(conn);
    app.execute(
        "INSERT INTO deliveries (id, tenant_id, lane_id, endpoint_id, event_number, event_type, job_id, status)
         SELECT gen_random_uuid(), tenant_id, lane_id, endpoint_id, event_number, event_type, job_id, 'pending'
         FROM deliveries",
    )
    .await;
    app.set_clock_ahead("7 seconds").await;
    let ended = app.wait_for_deliveries(&endpoint, &["dead", "dead"]).await;
    let mut tries = Vec::new();
    for delivery in ended {
        let path = format!("/v1/deliveries/{}", delivery.id);
        let delivery = app.acme.get(&path).await.expect(200);
        assert_eq!(delivery["dead_reason"], "endpoint_gone");
        let attempts = delivery["attempts"].as_array().unwrap().len();
        assert_eq!(delivery["tries"], attempts, "{delivery}");
        tries.push(attempts);
    }
    tries.sort_unstable();
    assert_eq!(tries, [0, 1]);
    assert_eq!(receiver.received().len(), 1);
    app.finish().await;
}
