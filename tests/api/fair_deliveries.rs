//! No tenant's receivers at another's expense, and no cost of what only waits.

use crate::support::{
    Caller, TestApp, eventually,
    receiver::{Receiver, Reply},
};

const DONE: &[&str] = &["transcription.done"];

/// Endpoints whose receivers have taken everything so far.
async fn add_proven_endpoints(app: &TestApp, caller: &Caller, url: &str, count: usize) {
    let tenant = caller.tenant_id;
    app.execute(&format!(
        "WITH made AS (
             INSERT INTO webhook_endpoints (id, tenant_id, url, description, event_types, includes_result, status)
             SELECT gen_random_uuid(), '{tenant}', '{url}', '', '{{transcription.done}}', false, 'enabled'
             FROM generate_series(1, {count})
             RETURNING id
         )
         INSERT INTO delivery_lanes (id, tenant_id, last_success_at)
         SELECT id, '{tenant}', gateway_now() FROM made"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_receivers_work_but_take_their_time_leaves_places_to_another() {
    let app = TestApp::start().await;
    let (slow, healthy) = (
        Receiver::answering(Reply::Held(200)).await,
        Receiver::start().await,
    );
    // Eight at once to each: more than there are places, those for what takes long too.
    add_proven_endpoints(&app, &app.acme, &slow.url(), 110).await;
    for _ in 0..8 {
        app.acme.start("spoken.mp3").await;
    }
    eventually("very many requests under way", async || {
        (slow.under_way() >= 300).then_some(())
    })
    .await;
    let endpoint = app.add_endpoint(&app.globex, &healthy.url(), DONE).await;
    for _ in 0..3 {
        app.globex.start("spoken.mp3").await;
    }
    app.wait_for_deliveries(&endpoint, &["delivered"; 3]).await;
    // None of the slow ones has been let go, and none has timed out.
    assert_eq!(app.rows("delivery_attempts").await, 3);
    assert!(slow.under_way() < 500, "{}", slow.under_way());
    slow.release();
    eventually("deliveries of both", async || {
        let pending: i64 = app
            .scalar("SELECT count(*) FROM deliveries WHERE status = 'pending'")
            .await;
        (pending == 0).then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_answered_at_once_and_then_hangs_has_eight_at_a_time_and_the_others_are_given_back()
 {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    receiver.reply(Reply::Held(200));
    app.execute(
        "INSERT INTO deliveries (id, tenant_id, lane_id, endpoint_id, event_number, event_type, job_id, status)
         SELECT gen_random_uuid(), tenant_id, lane_id, endpoint_id, event_number, event_type, job_id, 'pending'
         FROM deliveries, generate_series(1, 100)",
    )
    .await;
    receiver.wait_for(1 + 8).await;
    eventually("end of the other leases", async || {
        let leased: i64 = app
            .scalar("SELECT count(*) FROM deliveries WHERE lease_until > gateway_now()")
            .await;
        assert!(receiver.under_way() <= 8);
        (leased == 8).then_some(())
    })
    .await;
    receiver.release();
    app.wait_for_deliveries(&endpoint, &["delivered"; 101])
        .await;
    assert_eq!(app.rows("delivery_attempts").await, 101);
    assert_eq!(receiver.received().len(), 101);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_found_behind_very_many_hosts_at_which_something_waits() {
    let app = TestApp::start().await;
    let tenant = app.globex.tenant_id;
    // Dead hosts, say, in lanes that come before every other one.
    app.execute(&format!(
        "WITH lanes AS (
             INSERT INTO delivery_lanes (id, tenant_id, origin, failures, failing_since)
             SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '{tenant}',
                    'https://' || n || '.example', 3, gateway_now()
             FROM generate_series(1, 20000) n
             RETURNING id
         )
         INSERT INTO deliveries (id, tenant_id, lane_id, event_number, event_type, status, next_try_at)
         SELECT gen_random_uuid(), '{tenant}', id, 1, 'transcription.done', 'pending', '2100-01-01' FROM lanes"
    ))
    .await;
    let receiver = Receiver::start().await;
    receiver.reply_next([Reply::Status(500)]);
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    let condition = format!("endpoint_id = '{}'", endpoint.id);
    app.wait_for_tries(&condition, 1).await;
    app.set_clock_ahead("7 seconds").await;
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;

    // A look is at a stretch of them, and not at all that there are.
    let mut conn = app.pool.acquire().await.unwrap();
    let mut after = None;
    let mut looks = 0;
    loop {
        let found = gladia_gateway::db::deliveries::list_due_lanes(&mut conn, after, 1000)
            .await
            .unwrap();
        assert!(found.lanes.is_empty(), "{:?}", found.lanes);
        looks += 1;
        after = found.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(looks, 21);
    drop(conn);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_at_which_nobody_was_called_for_as_long_as_events_are_kept_is_forgotten() {
    let mut app = TestApp::start().await;
    let tenant = app.acme.tenant_id;
    for (host, ago, waits) in [
        ("idle", Some("31 days"), false),
        ("never", None, false),
        ("busy", Some("31 days"), true),
        ("lately", Some("29 days"), false),
    ] {
        let at = ago.map_or("NULL".to_owned(), |ago| {
            format!("gateway_now() - interval '{ago}'")
        });
        app.execute(&format!(
            "WITH lane AS (
                 INSERT INTO delivery_lanes (id, tenant_id, origin, last_success_at)
                 VALUES (gen_random_uuid(), '{tenant}', 'https://{host}.example', {at}) RETURNING id
             )
             INSERT INTO deliveries (id, tenant_id, lane_id, event_number, event_type, status, next_try_at)
             SELECT gen_random_uuid(), '{tenant}', id, 1, 'transcription.done', 'pending', '2100-01-01'
             FROM lane WHERE {waits}"
        ))
        .await;
    }
    // An endpoint's is never idle for long enough.
    let receiver = Receiver::start().await;
    app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.add_replica(&[]).await;
    eventually("end of the idle lanes", async || {
        let left: String = app
            .scalar(
                "SELECT string_agg(coalesce(origin, 'endpoint'), ' ' ORDER BY origin) FROM delivery_lanes",
            )
            .await;
        (left == "https://busy.example https://lately.example endpoint").then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_tenants_events_keeps_nobody_else_from_being_told() {
    let app = TestApp::start().await;
    add_proven_endpoints(&app, &app.acme, "https://receiver.invalid/", 20).await;
    app.execute("UPDATE webhook_endpoints SET event_types = NULL")
        .await;
    // Each is to become twenty deliveries.
    app.execute(&format!(
        "INSERT INTO events (tenant_id, job_id, type)
         SELECT '{}', gen_random_uuid(), 'transcription.queued' FROM generate_series(1, 20000)",
        app.acme.tenant_id
    ))
    .await;
    let id = app.globex.start("spoken.mp3").await;
    let ended = app
        .globex
        .get(&format!("/v1/transcriptions/{id}?wait=15"))
        .await
        .expect(200);
    assert_eq!(ended["status"], "done");
    let told = app.globex.get("/v1/events").await.expect(200);
    let told = told["events"].as_array().unwrap();
    assert_eq!(told.last().unwrap()["type"], "transcription.done");
    let flood: i64 = app
        .scalar(
            "SELECT count(*) FROM events WHERE number IS NULL AND type = 'transcription.queued'",
        )
        .await;
    assert!(flood > 5000, "{flood} of the flood were still waiting");
    app.stop().await;
}
