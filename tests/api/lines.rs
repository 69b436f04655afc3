//! Tenants' lines, which claims read from where the last one came to.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_come_back_are_sent_although_later_ones_were_claimed() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 3).start().await;
    app.pause_dispatch().await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(app.acme.start(&format!("{number}.mp3")).await);
    }
    // So old that the line is read from the last of them on.
    app.set_clock_ahead("10 minutes").await;
    let busy = json!({ "operation": "create", "kind": "status", "status": 429, "times": 2 });
    app.upstream.fault(&busy).await;
    app.resume_dispatch().await;
    for id in &ids {
        app.acme.wait_until_done(id).await;
    }
    assert_eq!(app.rows("attempts WHERE state = 'not_sent'").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_joined_its_line_behind_the_claims_is_found() {
    let mut app = TestApp::start().await;
    app.pause_dispatch().await;
    let id = app.acme.start("missed.mp3").await;
    app.execute(
        "INSERT INTO lines (tenant_id, queued_from) SELECT tenant_id, queued_at + interval '1 second' FROM jobs",
    )
    .await;
    app.resume_dispatch().await;
    // Each process looks when it starts, and then every minute.
    app.add_replica(&[]).await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_many_jobs_serves_tenants_in_turn_and_each_in_its_order() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 8).start().await;
    app.pause_dispatch().await;
    for number in 0..6 {
        let starting = [&app.acme, &app.globex]
            .map(|caller| async move { caller.start(&format!("endless-{number}.mp3")).await });
        join_all(starting).await;
    }
    app.resume_dispatch().await;
    crate::support::eventually("eight jobs at Gladia", async || {
        (app.rows("attempts WHERE state = 'accepted'").await == 8).then_some(())
    })
    .await;
    let claimed: Vec<(uuid::Uuid, String)> = sqlx::query_as(
        "SELECT j.tenant_id, j.audio_url FROM attempts a JOIN jobs j ON j.id = a.job_id ORDER BY a.created_at",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    for (at, pair) in claimed.chunks(2).enumerate() {
        let audio_url = format!("https://audio.example/endless-{at}.mp3");
        assert!(pair.iter().all(|job| job.1 == audio_url), "{claimed:?}");
        assert_ne!(pair[0].0, pair[1].0, "{claimed:?}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_waiting_jobs_were_canceled_keeps_nobody_waiting() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 1).start().await;
    app.pause_dispatch().await;
    let first = app.acme.start("lengthy-0.mp3").await;
    let second = app.acme.start("lengthy-1.mp3").await;
    app.resume_dispatch().await;
    app.acme.wait_until(&first, "processing").await;
    assert_eq!(app.rows("lines WHERE waits").await, 1);
    app.acme.cancel(&second).await.expect(200);
    let other = app.globex.start("spoken.mp3").await;
    app.globex.wait_until_done(&other).await;
    app.acme.wait_until_done(&first).await;
    app.finish().await;
}
