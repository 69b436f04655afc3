//! A file that several transcriptions use: Gladia may delete it along with any of them.

use serde_json::json;

use crate::support::{
    TestApp, audio, eventually,
    receipts::{receipt, wait_for_receipt},
    rows::success,
};

async fn start_with(app: &TestApp, audio_url: &str) -> String {
    let body = json!({ "audio_url": audio_url });
    let job = app.acme.transcribe(&body).await.expect(202);
    job["id"].as_str().unwrap().to_owned()
}

async fn finish_with(app: &TestApp, audio_url: &str) -> String {
    let id = start_with(app, audio_url).await;
    app.acme.wait_until_done(&id).await;
    id
}

/// Deletes a job that shares nothing. Whatever was due before it has been looked at once Gladia has deleted this one.
async fn let_deletions_pass(app: &TestApp, last: &str) {
    assert_eq!(app.acme.delete(last).await.status, 204);
    wait_for_receipt(&app.acme, last, "deleted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_at_gladia_while_another_transcription_needs_the_same_file() {
    let app = TestApp::builder()
        .doubles_a_job()
        .set("RECONCILE_AFTER_SECONDS", 3600)
        .start()
        .await;
    let file = app.acme.keep(audio::short(), "a.wav").await;
    let erased = finish_with(&app, &file).await;
    let doubled = finish_with(&app, &file).await;
    let mut alone = Vec::new();
    for name in ["surplus", "first", "second"] {
        alone.push(finish_with(&app, &format!("https://audio.example/{name}.mp3")).await);
    }
    app.pause_dispatch().await;
    let other = start_with(&app, &file).await;
    let surplus = app.attempt(&alone[0]).await.gladia_id.unwrap();
    app.execute(&format!(
        "INSERT INTO upstream_deletions (gladia_id, job_id, reason) VALUES ('{surplus}', '{doubled}', 'surplus')"
    ))
    .await;
    assert_eq!(app.acme.delete(&erased).await.status, 204);

    let_deletions_pass(&app, &alone[1]).await;
    assert_eq!(
        app.upstream.count("deletes").await,
        1,
        "the other is queued"
    );
    // What is held back stands before nobody meanwhile.
    eventually("deletions that were put off", async || {
        let put_off = "upstream_deletions WHERE finished_at IS NULL AND tries = 0
                       AND next_try_at > requested_at + interval '4 seconds'";
        (app.rows(put_off).await == 2).then_some(())
    })
    .await;
    let fault = json!({ "operation": "callback", "kind": "lose" });
    app.upstream.fault(&fault).await;
    app.resume_dispatch().await;
    app.acme.wait_until(&other, "processing").await;
    let_deletions_pass(&app, &alone[2]).await;
    assert_eq!(
        app.upstream.count("deletes").await,
        2,
        "the other is at work"
    );
    assert_eq!(
        receipt(&app.acme, &erased).await["gladia"]["status"],
        "pending"
    );

    let attempt = app.attempt(&other).await;
    app.call_back(attempt.id, success(&attempt.gladia_id.unwrap(), "words"))
        .await;
    app.acme.wait_until_done(&other).await;
    wait_for_receipt(&app.acme, &erased, "deleted").await;
    app.upstream.wait_for("deletes", 4).await;
    eventually("receipts of all", async || {
        (app.rows("upstream_deletions WHERE finished_at IS NULL")
            .await
            == 0)
            .then_some(())
    })
    .await;
    // What was kept for this alone goes with it.
    eventually("job without its file", async || {
        (app.rows("jobs WHERE erased_upload_id IS NOT NULL").await == 0).then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_retention_leaves_a_file_at_gladia_to_those_that_have_not_ended() {
    let app = TestApp::builder()
        .set("RETENTION_SECONDS", 3600)
        .set("RETENTION_DELETES_AT_GLADIA", true)
        .start()
        .await;
    let came_with = app.acme.upload(audio::short(), "a.wav", None).await;
    let came_with = came_with.expect(202);
    let expired = came_with["id"].as_str().unwrap();
    app.acme.wait_until_done(expired).await;
    let alone = finish_with(&app, "https://audio.example/alone.mp3").await;
    let audio_url = app.scalar::<String>("SELECT audio_url FROM uploads").await;
    app.pause_dispatch().await;
    let other = start_with(&app, &audio_url).await;
    app.set_clock_ahead("61 minutes").await;
    eventually("erased jobs", async || {
        (app.rows("jobs WHERE erased_by = 'retention'").await == 2).then_some(())
    })
    .await;
    // The younger one is deleted later.
    wait_for_receipt(&app.acme, &alone, "deleted").await;
    let receipt = receipt(&app.acme, expired).await;
    assert_eq!(receipt["gladia"]["status"], "pending");
    assert_eq!(app.upstream.count("deletes").await, 1);
    app.resume_dispatch().await;
    app.acme.wait_until_done(&other).await;
    wait_for_receipt(&app.acme, expired, "deleted").await;
    assert_eq!(app.upstream.count("deletes").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_very_many_have_used_is_not_looked_through_for_each_deletion() {
    let app = TestApp::start().await;
    let file = app.acme.keep(audio::short(), "a.wav").await;
    let first = finish_with(&app, &file).await;
    app.execute(&format!(
        "INSERT INTO jobs (id, tenant_id, api_key_id, status, request, audio_url, upload_id, finished_at)
         SELECT gen_random_uuid(), tenant_id, api_key_id, 'canceled', request, audio_url, upload_id, finished_at
         FROM jobs, generate_series(1, 3000) WHERE id = '{first}'"
    ))
    .await;
    app.execute("ANALYZE jobs").await;
    app.execute(&format!(
        "INSERT INTO upstream_deletions (gladia_id, job_id, reason)
         SELECT gen_random_uuid(), '{first}', 'deleted' FROM generate_series(1, 100)"
    ))
    .await;
    eventually("tries of all", async || {
        (app.rows("upstream_deletions WHERE tries = 0").await == 0).then_some(())
    })
    .await;
    let read = |indexes: &'static str| app.scalar::<i64>(indexes);
    // Whoever has claimed tells of all that it has read at once, and not at once.
    eventually("claims that are counted", async || {
        let due = read(
            "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes
             WHERE relname = 'upstream_deletions' AND indexrelname NOT LIKE '%_pkey'",
        );
        (due.await >= 100).then_some(())
    })
    .await;
    let read = read(
        "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes
         WHERE relname = 'jobs' AND indexrelname LIKE 'jobs_upload%'",
    )
    .await;
    assert!(read < 3000, "{read}");
    app.stop().await;
}
