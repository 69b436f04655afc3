//! Deleting at Gladia what was erased here: when it is asked, what it may answer, and what is its last word.

use gladia_gateway::domain::access::Scope;
use serde_json::json;

use crate::support::{
    TestApp, eventually,
    receipts::{receipt, wait_for_receipt},
    rows::success,
};

async fn tries(app: &TestApp) -> i32 {
    app.scalar("SELECT coalesce(max(tries), 0) FROM upstream_deletions")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_waits_until_gladia_has_ended() {
    let app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    let pending = wait_for_receipt(&app.acme, &id, "pending").await;
    assert!(pending["gladia"]["at"].is_string());
    eventually("refusal", async || (tries(&app).await == 1).then_some(())).await;
    // The next try comes later, and later still after that.
    for (ahead, count) in [("31 seconds", 2), ("95 seconds", 3)] {
        app.set_clock_ahead(ahead).await;
        eventually("try", async || (tries(&app).await == count).then_some(())).await;
    }
    let wait: f64 = app
        .scalar("SELECT extract(epoch FROM next_try_at - gateway_now())::float8 FROM upstream_deletions")
        .await;
    assert!((100.0..=120.0).contains(&wait), "{wait}");
    assert_eq!(receipt(&app.acme, &id).await["gladia"]["status"], "pending");
    let attempt = app.attempt(&id).await;
    let body = success(&attempt.gladia_id.unwrap(), "unwanted");
    app.call_back(attempt.id, body).await;
    app.finish().await;
}

/// Deletions are answered that there is no such job.
async fn hide_from_deletions(app: &TestApp) {
    let fault = json!({ "operation": "delete", "kind": "status", "status": 404 });
    app.upstream.fault(&fault).await;
}

/// Deletions are carried out, whatever the job does.
async fn let_delete(app: &TestApp) {
    let fault = json!({ "operation": "delete", "kind": "status", "status": 202 });
    app.upstream.fault(&fault).await;
}

/// Waits until Gladia has been asked so often, and the next try rests.
async fn wait_for_tries(app: &TestApp, count: i32) -> f64 {
    eventually("try that is noted", async || {
        let rests: f64 = app
            .scalar(&format!(
                "SELECT coalesce(max(extract(epoch FROM next_try_at - gateway_now())), 0)::float8 FROM upstream_deletions
                 WHERE tries = {count} AND next_try_at > gateway_now() + interval '4 minutes'"
            ))
            .await;
        (rests > 0.0).then_some(rests)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_has_lost_is_already_gone() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    hide_from_deletions(&app).await;
    app.set_clock_ahead("11 minutes").await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    wait_for_receipt(&app.acme, &id, "already_gone").await;
    assert_eq!(app.upstream.count("deletes").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_seems_to_have_lost_is_gone_after_three_answers_over_ten_minutes() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    hide_from_deletions(&app).await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    let mut ahead = 0.0;
    for tried in 1..=2 {
        let rests = wait_for_tries(&app, tried).await;
        assert_eq!(receipt(&app.acme, &id).await["gladia"]["status"], "pending");
        // Its outcome stays as young as it was.
        app.execute("UPDATE attempts SET finished_at = finished_at + interval '5 minutes'")
            .await;
        app.execute("UPDATE callbacks SET received_at = received_at + interval '5 minutes'")
            .await;
        ahead += rests + 1.0;
        app.set_clock_ahead(&format!("{ahead} seconds")).await;
    }
    wait_for_receipt(&app.acme, &id, "already_gone").await;
    assert_eq!(app.upstream.count("deletes").await, 3);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_does_not_show_yet_is_deleted_in_the_end() {
    let app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    hide_from_deletions(&app).await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    let rests = wait_for_tries(&app, 1).await;
    assert_eq!(receipt(&app.acme, &id).await["gladia"]["status"], "pending");
    let attempt = app.attempt(&id).await;
    let gladia_id = attempt.gladia_id.unwrap();
    app.call_back(attempt.id, success(&gladia_id, "unwanted"))
        .await;
    let_delete(&app).await;
    app.set_clock_ahead(&format!("{} seconds", rests + 1.0))
        .await;
    wait_for_receipt(&app.acme, &id, "deleted").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_gone_and_calls_back_is_deleted_after_all() {
    // Nobody asks for it meanwhile, which would show it.
    let app = TestApp::builder()
        .set("RECONCILE_AFTER_SECONDS", 3600)
        .start()
        .await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let attempt = app.attempt(&id).await;
    let gladia_id = attempt.gladia_id.unwrap();
    hide_from_deletions(&app).await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    let mut ahead = 0.0;
    for tried in 1..=2 {
        ahead += wait_for_tries(&app, tried).await + 1.0;
        app.set_clock_ahead(&format!("{ahead} seconds")).await;
    }
    wait_for_receipt(&app.acme, &id, "already_gone").await;
    // What Gladia does not have holds no slot either.
    assert_eq!(app.attempt(&id).await.state, "expired");
    assert_eq!(app.slots_held().await, 0);

    let_delete(&app).await;
    app.call_back(attempt.id, success(&gladia_id, "unwanted"))
        .await;
    wait_for_receipt(&app.acme, &id, "deleted").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_copy_is_deleted_at_gladia_holds_no_slot() {
    let app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    eventually("refusal", async || (tries(&app).await == 1).then_some(())).await;
    assert_eq!(app.slots_held().await, 1);
    // It ends there, and its callback is lost.
    let_delete(&app).await;
    app.set_clock_ahead("31 seconds").await;
    wait_for_receipt(&app.acme, &id, "deleted").await;
    assert_eq!(app.attempt(&id).await.state, "expired");
    assert_eq!(app.slots_held().await, 0);
    assert_eq!(app.upstream.count("gets").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_gladias_proves_no_deletion() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    let mut ahead = 0;
    for fault in [
        json!({ "operation": "delete", "kind": "status", "status": 404, "body": "<html>no such host</html>" }),
        json!({ "operation": "delete", "kind": "status", "status": 500 }),
        json!({ "operation": "delete", "kind": "status", "status": 429 }),
        json!({ "operation": "delete", "kind": "drop_before" }),
    ] {
        app.upstream.fault(&fault).await;
        if ahead == 0 {
            assert_eq!(app.acme.delete(&id).await.status, 204);
        }
        let before = tries(&app).await;
        ahead += 20;
        app.set_clock_ahead(&format!("{ahead} minutes")).await;
        eventually("try", async || (tries(&app).await > before).then_some(())).await;
        assert_eq!(receipt(&app.acme, &id).await["gladia"]["status"], "pending");
    }
    app.upstream.clear_faults().await;
    app.set_clock_ahead("3 hours").await;
    wait_for_receipt(&app.acme, &id, "deleted").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_gladia_refuses_for_a_week_is_given_up() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    let fault = json!({ "operation": "delete", "kind": "status", "status": 403 });
    app.upstream.fault(&fault).await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    eventually("refusal", async || (tries(&app).await == 1).then_some(())).await;
    app.set_clock_ahead("6 days").await;
    eventually("refusal", async || (tries(&app).await == 2).then_some(())).await;
    assert_eq!(receipt(&app.acme, &id).await["gladia"]["status"], "pending");
    // However long ago it was asked for: it may have been held back for as long.
    app.set_clock_ahead("8 days").await;
    eventually("refusal", async || (tries(&app).await == 3).then_some(())).await;
    assert_eq!(receipt(&app.acme, &id).await["gladia"]["status"], "pending");
    app.execute("UPDATE upstream_deletions SET tries = 9").await;
    app.set_clock_ahead("9 days").await;
    let receipt = wait_for_receipt(&app.acme, &id, "given_up").await;
    assert!(receipt["gladia"]["at"].is_string());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_turns_out_to_have_of_a_deleted_job_is_deleted_too() {
    let app = TestApp::builder().with_gladia_relay().start().await;
    app.gladia().hold_answers();
    let id = app.acme.start("endless.mp3").await;
    app.upstream.wait_for("creates_accepted", 1).await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    // Nobody knows yet under which id, nor whether.
    assert_eq!(receipt(&app.acme, &id).await["gladia"]["status"], "pending");
    assert_eq!(app.rows("upstream_deletions").await, 0);
    let attempt = app.attempt(&id).await;
    let jobs = app.upstream.jobs().await;
    let gladia_id = jobs[0]["id"].as_str().unwrap();
    app.call_back(attempt.id, success(gladia_id, "unwanted"))
        .await;
    assert_eq!(app.rows("upstream_deletions").await, 1);
    assert_eq!(app.callback_outcomes(&id).await, ["discarded"]);
    app.gladia().release_answers();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_surplus_is_deleted_once_its_job_is_done_and_the_result_never() {
    let app = TestApp::builder().doubles_a_job().start().await;
    let other = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&other).await;
    let surplus = app.acme.job(&other).await["gladia_id"].clone();
    let surplus = surplus.as_str().unwrap();
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let attempt = app.attempt(&id).await;
    let own = attempt.gladia_id.unwrap();
    app.execute(&format!(
        "INSERT INTO upstream_deletions (gladia_id, job_id, reason)
         VALUES ('{surplus}', '{id}', 'surplus'), ('{own}', '{id}', 'surplus')"
    ))
    .await;
    // Whatever is due has been looked at once this one is through: the third time in a while that it is not there.
    app.execute(&format!(
        "INSERT INTO upstream_deletions (gladia_id, job_id, reason, tries, requested_at)
         VALUES ('01234567-89ab-7cde-8f01-23456789abcd', '{id}', 'deleted', 2, gateway_now() - interval '11 minutes')"
    ))
    .await;
    let finished = async |count: i64| {
        eventually("receipts", async || {
            let finished = app
                .rows("upstream_deletions WHERE finished_at IS NOT NULL")
                .await;
            (finished == count).then_some(())
        })
        .await;
    };
    finished(1).await;
    assert_eq!(app.upstream.count("deletes").await, 1);
    app.call_back(attempt.id, success(&own, "words")).await;
    app.acme.wait_until_done(&id).await;
    finished(2).await;
    let left: String = app
        .scalar("SELECT coalesce(string_agg(gladia_id, ','), '') FROM upstream_deletions WHERE finished_at IS NULL")
        .await;
    assert!(left.is_empty() || left == own, "{left}");
    assert_eq!(app.upstream.count("deletes").await, 2);
    app.finish().await;
}

/// A job that the retention has erased, and of which Gladia has very many copies, as if it were very many jobs.
async fn fill_line_of_retention(app: &TestApp, copies: i64) {
    let id = app.acme.start("old.mp3").await;
    app.acme.wait_until_done(&id).await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    wait_for_receipt(&app.acme, &id, "deleted").await;
    app.execute(&format!(
        "INSERT INTO upstream_deletions (gladia_id, job_id, reason)
         SELECT gen_random_uuid(), '{id}', 'retention' FROM generate_series(1, {copies})"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_deletes_does_not_wait_for_what_a_retention_has_erased() {
    let app = TestApp::builder()
        .set("RETENTION_SECONDS", 3600)
        .set("RETENTION_DELETES_AT_GLADIA", true)
        .start()
        .await;
    let other = app.caller("other", Scope::Write).await;
    let id = other.start("a.mp3").await;
    other.wait_until_done(&id).await;
    let slow = json!({ "operation": "delete", "kind": "delay", "milliseconds": 200 });
    fill_line_of_retention(&app, 5000).await;
    app.upstream.fault(&slow).await;
    eventually("deletions of the retention", async || {
        (app.rows("upstream_deletions WHERE reason = 'retention' AND tries > 0")
            .await
            > 0)
        .then_some(())
    })
    .await;
    assert_eq!(other.delete(&id).await.status, 204);
    wait_for_receipt(&other, &id, "deleted").await;
    let waiting = "upstream_deletions WHERE reason = 'retention' AND tries = 0";
    assert!(app.rows(waiting).await > 2500);
    let metrics = app.acme.with_key(None).get("/metrics").await.text();
    let pending = metrics
        .lines()
        .find_map(|line| line.strip_prefix("gateway_upstream_deletions_pending "));
    assert_eq!(pending, Some("5000"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_gladia_takes_long_over_holds_up_no_other() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for number in 0..10 {
        let id = app.acme.start(&format!("{number}.mp3")).await;
        app.acme.wait_until_done(&id).await;
        ids.push(id);
    }
    let slow = app.attempt(&ids[0]).await.gladia_id.unwrap();
    let takes_long =
        json!({ "operation": "delete", "kind": "delay", "milliseconds": 15_000, "match": slow });
    app.upstream.fault(&takes_long).await;
    assert_eq!(app.acme.delete(&ids[0]).await.status, 204);
    eventually("try", async || (tries(&app).await == 1).then_some(())).await;
    for id in &ids[1..] {
        assert_eq!(app.acme.delete(id).await.status, 204);
        wait_for_receipt(&app.acme, id, "deleted").await;
    }
    assert_eq!(
        receipt(&app.acme, &ids[0]).await["gladia"]["status"],
        "pending"
    );
    app.stop().await;
}
