//! What becomes of a webhook endpoint's deliveries: it is tested, moved, disabled, enabled, deleted.

use gladia_gateway::{db, domain::webhook_endpoint::DisabledReason};
use serde_json::{Value, json};

use crate::support::{TestApp, endpoints::NOBODY, eventually};

/// Lets an endpoint look as if its receiver had failed for a while.
async fn fail(app: &TestApp, id: &str) -> Value {
    app.execute(&format!(
        "UPDATE delivery_lanes
         SET failures = 7, failing_since = gateway_now() - interval '1 hour', last_failure_at = gateway_now(),
             last_success_at = gateway_now() - interval '2 hours', open_until = gateway_now() + interval '1 hour'
         WHERE id = '{id}'"
    ))
    .await;
    let failing = app.acme.endpoint_now(id).await;
    assert_eq!(failing["consecutive_failures"], 7);
    for field in [
        "failing_since",
        "retry_at",
        "last_success_at",
        "last_failure_at",
    ] {
        assert!(failing[field].is_string(), "{field}");
    }
    failing
}

fn assert_clean(endpoint: &Value) {
    assert_eq!(endpoint["consecutive_failures"], 0);
    assert_eq!(endpoint["failing_since"], Value::Null);
    assert_eq!(endpoint["retry_at"], Value::Null);
    assert!(endpoint["last_failure_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_url_begins_with_a_clean_record_and_another_description_does_not() {
    let app = TestApp::start().await;
    let (id, _) = app.acme.endpoint().await;
    fail(&app, &id).await;
    let same = json!({ "url": NOBODY, "description": "still failing" });
    let changed = app.acme.change_endpoint(&id, &same).await.expect(200);
    assert_eq!(changed["consecutive_failures"], 7);
    let moved = json!({ "url": "https://elsewhere.invalid/" });
    assert_clean(&app.acme.change_endpoint(&id, &moved).await.expect(200));
    // A circuit whose time is over is about to be tried.
    fail(&app, &id).await;
    app.set_clock_ahead("2 hours").await;
    assert_eq!(app.acme.endpoint_now(&id).await["retry_at"], Value::Null);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_event_goes_to_the_endpoint_that_is_tested_and_to_no_other() {
    let app = TestApp::builder().replicas(2).start().await;
    let narrow = json!({ "url": NOBODY, "event_types": ["transcription.done"] });
    let tested = app.acme.create_endpoint(&narrow).await.expect(201);
    let id = tested["id"].as_str().unwrap();
    app.acme.endpoint().await;
    app.globex.endpoint().await;
    let mut ids = Vec::new();
    for replica in [0, 1] {
        let caller = app.acme.at(&app.replicas[replica].base);
        let told = caller.tell_endpoint(id, "test").await.expect(202);
        ids.push(told["event_id"].as_str().unwrap().to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    for event in &ids {
        let number: i64 = event.strip_prefix("evt_").unwrap().parse().unwrap();
        let row: (String, String) =
            sqlx::query_as("SELECT type, endpoint_id::text FROM events WHERE number = $1")
                .bind(number)
                .fetch_one(&app.pool)
                .await
                .unwrap();
        assert_eq!(row, ("webhook_endpoint.test".to_owned(), id.to_owned()));
        let receivers: Vec<String> =
            sqlx::query_scalar("SELECT endpoint_id::text FROM deliveries WHERE event_number = $1")
                .bind(number)
                .fetch_all(&app.pool)
                .await
                .unwrap();
        assert_eq!(receivers, [id]);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_a_test_event_is_waited_for() {
    let app = TestApp::start().await;
    let (id, _) = app.acme.endpoint().await;
    // Nothing gets a number for a while.
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query("SELECT last_number FROM event_sequence FOR UPDATE")
        .execute(&mut *tx)
        .await
        .unwrap();
    let (caller, endpoint) = (app.acme.clone(), id.clone());
    let asked = tokio::spawn(async move { caller.tell_endpoint(&endpoint, "test").await });
    eventually("event without a number", async || {
        (app.rows("events").await == 1).then_some(())
    })
    .await;
    assert!(!asked.is_finished());
    tx.commit().await.unwrap();
    let told = asked.await.unwrap().expect(202);
    let number: i64 = app.scalar("SELECT number FROM events").await;
    assert_eq!(told["event_id"], format!("evt_{number}"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_endpoint_is_not_tested() {
    let app = TestApp::start().await;
    let (id, _) = app.acme.endpoint().await;
    app.acme.tell_endpoint(&id, "disable").await.expect(200);
    let refused = app.acme.tell_endpoint(&id, "test").await;
    refused.problem(409, "webhook-endpoint-disabled");
    let tests: i64 = app
        .scalar("SELECT count(*) FROM events WHERE type = 'webhook_endpoint.test'")
        .await;
    assert_eq!(tests, 0);
    app.finish().await;
}

/// What the log says of an endpoint that was disabled: why, one entry each time.
async fn disabled_events(app: &TestApp, id: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT data->>'disabled_reason' FROM events
         WHERE endpoint_id = $1::uuid AND type = 'webhook_endpoint.disabled' ORDER BY position",
    )
    .bind(id)
    .fetch_all(&app.pool)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn disabling_ends_what_waits_and_tells_the_others_once() {
    let app = TestApp::start().await;
    let (id, _) = app.acme.endpoint().await;
    let (other, _) = app.acme.endpoint().await;
    let waiting = app.add_delivery(&id, "pending", "NULL").await;
    let abandoned = app
        .add_delivery(&id, "pending", "gateway_now() - interval '1 second'")
        .await;
    let being_sent = app
        .add_delivery(&id, "pending", "gateway_now() + interval '1 minute'")
        .await;
    let delivered = app.add_delivery(&id, "delivered", "NULL").await;
    let of_other = app.add_delivery(&other, "pending", "NULL").await;

    let disabled = app.acme.tell_endpoint(&id, "disable").await.expect(200);
    assert_eq!(disabled["status"], "disabled");
    assert_eq!(disabled["disabled_reason"], "request");
    assert!(disabled["disabled_at"].is_string());
    for (delivery, status, reason) in [
        (waiting, "dead", Some("endpoint_disabled")),
        (abandoned, "dead", Some("endpoint_disabled")),
        // Whoever sends it knows best what came of it.
        (being_sent, "pending", None),
        (delivered, "delivered", None),
        (of_other, "pending", None),
    ] {
        let found = app.delivery(delivery).await;
        assert_eq!((found.0.as_str(), found.1.as_deref()), (status, reason));
    }
    // Once more changes nothing.
    let again = app.acme.tell_endpoint(&id, "disable").await.expect(200);
    assert_eq!(again, disabled);
    assert_eq!(disabled_events(&app, &id).await, ["request"]);
    let receivers = eventually("delivery of the event", async || {
        let found: Vec<String> = sqlx::query_scalar(
            "SELECT endpoint_id::text FROM deliveries WHERE event_type = 'webhook_endpoint.disabled'",
        )
        .fetch_all(&app.pool)
        .await
        .unwrap();
        (!found.is_empty()).then_some(found)
    })
    .await;
    assert_eq!(receivers, [other]);
    app.finish().await;
}

/// Adds so many deliveries that wait.
async fn add_waiting(app: &TestApp, id: &str, count: u32) {
    app.execute(&format!(
        "INSERT INTO deliveries (id, tenant_id, lane_id, endpoint_id, event_number, event_type, status, next_try_at)
         SELECT gen_random_uuid(), '{}', '{id}', '{id}', 1, 'transcription.done', 'pending',
                gateway_now() + interval '10 hours'
         FROM generate_series(1, {count})",
        app.acme.tenant_id
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_disabling_that_broke_off_has_left_ends_when_it_is_repeated() {
    let app = TestApp::start().await;
    let (id, _) = app.acme.endpoint().await;
    add_waiting(&app, &id, 10001).await;
    // Its commit, and nothing after that.
    let mut conn = app.pool.acquire().await.unwrap();
    let endpoint = id.parse().unwrap();
    let disabled = db::webhook_endpoints::disable(&mut conn, endpoint, None, DisabledReason::Gone);
    assert!(disabled.await.unwrap());
    drop(conn);
    let ended = async || {
        app.rows("deliveries WHERE dead_reason = 'endpoint_gone'")
            .await
    };
    assert_eq!(ended().await, 10000);
    let before = app.acme.endpoint_now(&id).await;
    let again = app.acme.tell_endpoint(&id, "disable").await.expect(200);
    assert_eq!(again, before);
    assert_eq!(ended().await, 10001);
    assert_eq!(disabled_events(&app, &id).await, ["gone"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_wait_they_all_end() {
    let app = TestApp::start().await;
    let (disabled, _) = app.acme.endpoint().await;
    let (deleted, _) = app.acme.endpoint().await;
    for id in [&disabled, &deleted] {
        add_waiting(&app, id, 20001).await;
    }
    app.acme
        .tell_endpoint(&disabled, "disable")
        .await
        .expect(200);
    assert_eq!(app.acme.delete_endpoint(&deleted).await.status, 204);
    for reason in ["endpoint_disabled", "endpoint_deleted"] {
        let query = format!(
            "SELECT count(*) FROM deliveries
             WHERE dead_reason = '{reason}' AND event_type = 'transcription.done'"
        );
        assert_eq!(app.scalar::<i64>(&query).await, 20001, "{reason}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disabling_does_not_wait_for_whoever_writes_down_a_delivery() {
    let app = TestApp::start().await;
    let (id, _) = app.acme.endpoint().await;
    let written = app.add_delivery(&id, "pending", "NULL").await;
    let waiting = app.add_delivery(&id, "pending", "NULL").await;
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query("UPDATE deliveries SET tries = 1 WHERE id = $1")
        .bind(written)
        .execute(&mut *tx)
        .await
        .unwrap();
    app.acme.tell_endpoint(&id, "disable").await.expect(200);
    tx.commit().await.unwrap();
    assert_eq!(app.delivery(written).await.0, "pending");
    assert_eq!(app.delivery(waiting).await.0, "dead");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_disabled_as_such() {
    let app = TestApp::start().await;
    let (id, _) = app.acme.endpoint().await;
    let waiting = app.add_delivery(&id, "pending", "NULL").await;
    let mut conn = app.pool.acquire().await.unwrap();
    for is_first in [true, false] {
        let endpoint = id.parse().unwrap();
        let disabled =
            db::webhook_endpoints::disable(&mut conn, endpoint, None, DisabledReason::Gone);
        assert_eq!(disabled.await.unwrap(), is_first);
    }
    drop(conn);
    let endpoint = app.acme.endpoint_now(&id).await;
    assert_eq!(endpoint["disabled_reason"], "gone");
    let dead = ("dead".to_owned(), Some("endpoint_gone".to_owned()));
    assert_eq!(app.delivery(waiting).await, dead);
    assert_eq!(disabled_events(&app, &id).await, ["gone"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enabling_begins_with_a_clean_record() {
    let app = TestApp::start().await;
    let (id, _) = app.acme.endpoint().await;
    fail(&app, &id).await;
    app.acme.tell_endpoint(&id, "disable").await.expect(200);
    let enabled = app.acme.tell_endpoint(&id, "enable").await.expect(200);
    assert_eq!(enabled["status"], "enabled");
    assert_eq!(enabled["disabled_reason"], Value::Null);
    assert_eq!(enabled["disabled_at"], Value::Null);
    assert_clean(&enabled);
    // One that is enabled is tried again at once, and else the same.
    let failing = fail(&app, &id).await;
    let again = app.acme.tell_endpoint(&id, "enable").await.expect(200);
    assert_clean(&again);
    assert_eq!(again["updated_at"], failing["updated_at"]);
    // It can be disabled again, and the others are told again.
    app.acme.tell_endpoint(&id, "disable").await.expect(200);
    assert_eq!(disabled_events(&app, &id).await.len(), 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_ends_what_waits_and_keeps_the_record() {
    let app = TestApp::start().await;
    let (id, _) = app.acme.endpoint().await;
    let (other, _) = app.acme.endpoint().await;
    let waiting = app.add_delivery(&id, "pending", "NULL").await;
    let delivered = app.add_delivery(&id, "delivered", "NULL").await;
    let of_other = app.add_delivery(&other, "pending", "NULL").await;
    assert_eq!(app.acme.delete_endpoint(&id).await.status, 204);
    let dead = ("dead".to_owned(), Some("endpoint_deleted".to_owned()));
    assert_eq!(app.delivery(waiting).await, dead);
    assert_eq!(app.delivery(delivered).await.0, "delivered");
    assert_eq!(app.delivery(of_other).await.0, "pending");
    assert_eq!(app.rows("signing_secrets").await, 1);
    app.finish().await;
}
