//! No tenant's receivers at another's expense, and no cost of what only waits.

use reqwest::Method;

use crate::support::{
    Answer, Caller, TestApp, eventually,
    receiver::{Receiver, Reply},
    sse::EventStream,
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
async fn an_event_of_which_no_delivery_can_be_made_keeps_nobody_else_from_being_told() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    app.pause_dispatch().await;
    let broken = app.acme.start("a.mp3").await;
    app.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'nobody foresaw this'; END $$",
    )
    .await;
    app.execute(&format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON deliveries
             FOR EACH ROW WHEN (NEW.job_id = '{broken}') EXECUTE FUNCTION refuse()"
    ))
    .await;
    let endpoint = app.add_endpoint(&app.globex, &receiver.url(), DONE).await;
    app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.resume_dispatch().await;
    app.acme.wait_until_done(&broken).await;
    app.globex.start("b.mp3").await;
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    // It is told of in every other way, and what comes after it in all of them.
    app.all_numbered().await;
    let page = app.acme.get("/v1/events?types=transcription.done").await;
    let events = page.expect(200)["events"].clone();
    assert_eq!(events[0]["data"]["transcription_id"], broken);
    app.acme.start("c.mp3").await;
    receiver.wait_for(2).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_secret_cannot_be_opened_shows_so_and_is_no_failure_of_its_receiver() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.execute("CREATE TABLE kept AS SELECT id, sealed FROM signing_secrets")
        .await;
    app.execute("UPDATE signing_secrets SET sealed = '\\x00'")
        .await;
    app.acme.start("a.mp3").await;
    app.wait_for_tries("true", 1).await;
    let delivery = app.deliveries_to(&endpoint).await[0].clone();
    assert_eq!((delivery.status.as_str(), delivery.tries), ("pending", 1));
    let shown = app
        .acme
        .get(&format!("/v1/deliveries/{}", delivery.id))
        .await;
    assert_eq!(shown.expect(200)["attempts"][0]["error"], "internal");
    assert_eq!(app.lane(&endpoint).await, (0, false));
    app.execute("UPDATE signing_secrets s SET sealed = k.sealed FROM kept k WHERE k.id = s.id")
        .await;
    app.set_clock_ahead("7 seconds").await;
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    assert_eq!(receiver.received().len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_die_again_and_again_do_not_use_up_the_schedule() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(Reply::Status(500)).await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.acme.start("a.mp3").await;
    app.wait_for_tries("true", 1).await;
    // The tenth try, of eleven, whose process has died like two before it; and the same with one.
    for (interrupted, status, tries) in [(3, "pending", 10), (1, "dead", 11)] {
        app.execute("DELETE FROM delivery_attempts").await;
        app.execute(&format!(
            "INSERT INTO delivery_attempts (delivery_id, number, started_at, duration_ms, error)
             SELECT id, n, gateway_now(), 1, 'interrupted' FROM deliveries, generate_series(1, {interrupted}) n"
        ))
        .await;
        app.execute(
            "UPDATE deliveries SET tries = 10, lease_until = gateway_now() - interval '1 second',
                                   next_try_at = gateway_now()",
        )
        .await;
        let delivery = eventually("another try", async || {
            let row = app.deliveries_to(&endpoint).await[0].clone();
            let tried = app.tries(row.id).await.last()?.http_status;
            (tried == Some(500)).then_some(row)
        })
        .await;
        assert_eq!((delivery.status.as_str(), delivery.tries), (status, tries));
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_until_callers_know_is_measured_from_the_callback_in_each_way() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    let mut stream = EventStream::open(&app.acme, "/v1/events/stream").await;
    let body = serde_json::json!({ "audio_url": "https://audio.example/a.mp3" });
    let waiting = app
        .acme
        .request(Method::POST, "/v1/transcriptions?wait=15")
        .json(&body);
    Answer::to(waiting).await.expect(200);
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    while stream.next().await.kind != "transcription.done" {}
    let is_of_the_callback: bool = app
        .scalar(
            "SELECT (e.data ->> 'received_at')::timestamptz = c.received_at
             FROM events e JOIN jobs j ON j.id = e.job_id JOIN callbacks c ON c.id = j.result_callback_id
             WHERE e.type = 'transcription.done'",
        )
        .await;
    assert!(is_of_the_callback);
    for way in ["webhook", "stream", "wait"] {
        let metrics = app.acme.get("/metrics").await.text();
        let name = format!("gateway_told_seconds_count{{way=\"{way}\"}}");
        let told = metrics.lines().find_map(|line| line.strip_prefix(&name));
        let told: u64 = told
            .unwrap_or_else(|| panic!("no {name}"))
            .trim()
            .parse()
            .unwrap();
        assert!(told > 0, "{name}");
    }
    app.finish().await;
}
