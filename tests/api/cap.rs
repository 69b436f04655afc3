//! The account's limit, and who is served first.

use futures_util::future::{join_all, try_join_all};
use gladia_gateway::{db::dispatch, domain::access::Scope};
use serde_json::json;

use crate::support::{TestApp, eventually, rows::success};

/// Ends the oldest job that Gladia works on.
async fn end_one(app: &TestApp) {
    let (attempt, gladia_id): (uuid::Uuid, String) = sqlx::query_as(
        "SELECT id, gladia_id FROM attempts WHERE state = 'accepted' ORDER BY created_at LIMIT 1",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(
        app.call_back(attempt, success(&gladia_id, "words"))
            .await
            .status,
        200
    );
}

async fn accepted(app: &TestApp) -> i64 {
    app.scalar("SELECT count(*) FROM attempts WHERE state = 'accepted'")
        .await
}

async fn wait_for_accepted(app: &TestApp, number: i64) {
    eventually(&format!("{number} jobs at Gladia"), async || {
        (accepted(app).await == number).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_jobs_never_pass_a_cap_of_three() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 3).start().await;
    let ids = join_all((0..30).map(|number| {
        let caller = &app.acme;
        async move { caller.start(&format!("lengthy-{number}.mp3")).await }
    }))
    .await;
    for id in &ids {
        app.acme.wait_until_done(id).await;
    }
    assert_eq!(app.upstream.count("max_in_flight_seen").await, 3);
    assert_eq!(app.upstream.count("creates_received").await, 30);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_share_the_cap() {
    let app = TestApp::builder()
        .set("MAX_IN_FLIGHT", 3)
        .replicas(3)
        .start()
        .await;
    let callers: Vec<_> = app
        .replicas
        .iter()
        .map(|replica| app.acme.at(&replica.base))
        .collect();
    let ids = join_all((0..30).map(|number| {
        let caller = &callers[number % 3];
        async move { caller.start(&format!("lengthy-{number}.mp3")).await }
    }))
    .await;
    for id in &ids {
        app.acme.wait_until_done(id).await;
    }
    assert_eq!(app.upstream.count("max_in_flight_seen").await, 3);
    let workers: i64 = app
        .scalar("SELECT count(DISTINCT worker) FROM attempts")
        .await;
    assert!(workers > 1, "only one replica took part");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_tenant_is_served_beside_a_large_one() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 2).start().await;
    app.pause_dispatch().await;
    for chunk in 0..10 {
        let starting = (0..20).map(|number| {
            let caller = &app.acme;
            async move { caller.start(&format!("{chunk}-{number}.mp3")).await }
        });
        join_all(starting).await;
    }
    for number in 0..5 {
        app.globex.start(&format!("small-{number}.mp3")).await;
    }
    app.resume_dispatch().await;
    eventually("end of the small tenant's jobs", async || {
        let list = app.globex.get("/v1/transcriptions?status=done").await;
        let done = list.expect(200)["items"].as_array().unwrap().len();
        (done == 5).then_some(())
    })
    .await;
    // In the order of the claims, the tenants alternate.
    let order: Vec<uuid::Uuid> = sqlx::query_scalar(
        "SELECT j.tenant_id FROM attempts a JOIN jobs j ON j.id = a.job_id ORDER BY a.created_at, a.id LIMIT 12",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    let small = order
        .iter()
        .filter(|tenant| **tenant == app.globex.tenant_id)
        .count();
    assert_eq!(small, 5, "{order:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_fewer_slots_is_served_until_it_holds_as_many() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 5).start().await;
    for number in 0..3 {
        app.acme.start(&format!("endless-{number}.mp3")).await;
    }
    wait_for_accepted(&app, 3).await;
    app.pause_dispatch().await;
    let mut small = Vec::new();
    for number in 3..5 {
        let audio = format!("endless-{number}.mp3");
        app.acme.start(&audio).await;
        small.push(app.globex.start(&audio).await);
    }
    app.resume_dispatch().await;
    wait_for_accepted(&app, 5).await;
    for id in &small {
        assert_eq!(app.globex.job(id).await["status"], "processing");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_no_slot_is_served_before_many_that_do_though_it_was_served_last() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 17).start().await;
    // As many as one claim serves.
    let mut others = Vec::new();
    for number in 0..16 {
        let tenant = format!("tenant-{number}");
        let other = app.caller(&tenant, Scope::Write).await;
        other.start("endless.mp3").await;
        others.push(other);
    }
    wait_for_accepted(&app, 16).await;
    let earlier = app.globex.start("a.mp3").await;
    app.globex.wait_until_done(&earlier).await;
    app.pause_dispatch().await;
    for other in &others {
        other.start("endless.mp3").await;
    }
    let id = app.globex.start("endless.mp3").await;
    app.resume_dispatch().await;
    wait_for_accepted(&app, 17).await;
    assert_eq!(app.globex.job(&id).await["status"], "processing");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_jobs_are_sent_in_the_order_in_which_they_came() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 1).start().await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(app.acme.start(&format!("{number}.mp3")).await);
    }
    for id in &ids {
        app.acme.wait_until_done(id).await;
    }
    let jobs = app.upstream.jobs().await;
    let order: Vec<_> = jobs.iter().map(|job| job["audio_url"].clone()).collect();
    let expected: Vec<_> = (0..6)
        .map(|number| json!(format!("https://audio.example/{number}.mp3")))
        .collect();
    assert_eq!(order, expected);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lowered_cap_drains_and_a_raised_one_fills() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 3).start().await;
    let starting = (0..7).map(|number| {
        let caller = &app.acme;
        async move { Ok::<_, ()>(caller.start(&format!("endless-{number}.mp3")).await) }
    });
    try_join_all(starting).await.unwrap();
    wait_for_accepted(&app, 3).await;
    let mut conn = app.pool.acquire().await.unwrap();
    dispatch::set_max_in_flight(&mut conn, 1).await.unwrap();
    // Nothing is taken back, and nothing new goes out until only one is left.
    end_one(&app).await;
    end_one(&app).await;
    assert_eq!(accepted(&app).await, 1);
    end_one(&app).await;
    wait_for_accepted(&app, 1).await;
    assert_eq!(app.upstream.count("creates_received").await, 4);

    dispatch::set_max_in_flight(&mut conn, 4).await.unwrap();
    drop(conn);
    wait_for_accepted(&app, 4).await;
    assert_eq!(app.slots_held().await, 4);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setting_seeds_the_cap_once() {
    let mut app = TestApp::builder().set("MAX_IN_FLIGHT", 2).start().await;
    app.add_replica(&[("MAX_IN_FLIGHT", "9")]).await;
    let cap: i32 = app.scalar("SELECT max_in_flight FROM dispatch").await;
    assert_eq!((cap, app.rows("slots").await), (2, 2));
    app.finish().await;
}
