//! A rolling update: an older version still works on the tables as they are now. Its statements stand here as it has them, those of
//! the version that knew the tables up to 0061.

use serde_json::json;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use crate::support::{
    TestApp, audio,
    receipts::{receipt, wait_for_receipt},
};

const TELL: &str = "
    INSERT INTO events (tenant_id, job_id, type, data)
    SELECT tenant_id, id, $2,
           CASE WHEN $3 THEN json_strip_nulls(json_build_object(
               'status', status, 'status_reason', status_reason, 'error_type', error_type,
               'error_code', error_code, 'batch_id', batch_id,
               'received_at', CASE $2
                   WHEN 'transcription.done' THEN
                       (SELECT received_at FROM callbacks WHERE id = result_callback_id)
                   WHEN 'transcription.error' THEN
                       (SELECT max(c.received_at) FROM callbacks c JOIN attempts a ON a.id = c.attempt_id
                        WHERE a.job_id = jobs.id AND c.outcome = 'failed'
                          AND a.number = (SELECT max(number) FROM attempts WHERE job_id = jobs.id))
               END))
           END
    FROM jobs WHERE id = ANY ($1) ORDER BY id
";

const ERASE_JOB: &str = "
    UPDATE jobs
    SET deleted_at = gateway_now(), erased_by = $2, deletes_at_gladia = $3, discard = true, request = NULL, audio_url = NULL,
        upload_id = NULL, result_callback_id = NULL, addon_errors = NULL, error_message = NULL,
        warnings = NULL, callback = NULL,
        tracestate = NULL
    WHERE id = $1 AND deleted_at IS NULL
    RETURNING batch_id
";

const ERASE_BODIES: &str = "
    UPDATE callbacks SET body = NULL, result_frame_start = NULL, result_frame_length = NULL
    WHERE attempt_id = ANY (ARRAY(SELECT id FROM attempts WHERE job_id = $1)) AND body IS NOT NULL
";

const REQUEST_DELETION: &str = "
    INSERT INTO upstream_deletions AS d (gladia_id, job_id, reason)
    SELECT a.gladia_id, a.job_id, CASE WHEN j.erased_by = 'retention' THEN 'retention' ELSE 'deleted' END
    FROM attempts a JOIN jobs j ON j.id = a.job_id
    WHERE j.id = $1 AND j.deleted_at IS NOT NULL AND j.erased_by IS NOT NULL AND a.gladia_id IS NOT NULL
      AND coalesce(j.deletes_at_gladia, j.erased_by = 'request' OR EXISTS (
          SELECT FROM upstream_deletions u WHERE u.job_id = j.id AND u.reason = 'retention' OFFSET 0))
    ON CONFLICT (gladia_id) DO UPDATE
    SET reason = excluded.reason, requested_at = gateway_now(), next_try_at = gateway_now(), tries = 0
    WHERE d.finished_at IS NULL AND d.reason = 'surplus' AND excluded.reason = 'deleted'
";

async fn tell(tx: &mut Transaction<'_, Postgres>, job: Uuid, event: &str) {
    sqlx::query(TELL)
        .bind([job])
        .bind(event)
        .bind(true)
        .execute(&mut **tx)
        .await
        .unwrap();
}

/// Erases a job for its caller, and asks for the deletion of what Gladia has.
async fn erase(app: &TestApp, job: &str) {
    let job: Uuid = job.parse().unwrap();
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query(ERASE_JOB)
        .bind(job)
        .bind("request")
        .bind(true)
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    for statement in [
        "DELETE FROM job_metadata WHERE job_id = $1 AND NOT kept_for_usage",
        "UPDATE attempts SET detail = NULL WHERE job_id = $1",
        ERASE_BODIES,
        REQUEST_DELETION,
    ] {
        sqlx::query(statement)
            .bind(job)
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    tell(&mut tx, job, "transcription.deleted").await;
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_version_erases_is_not_deleted_at_gladia_while_another_job_needs_the_file() {
    let app = TestApp::start().await;
    let file = app.acme.keep(audio::short(), "a.wav").await;
    let mut ids = Vec::new();
    for audio_url in [file.as_str(), "https://audio.example/alone.mp3"] {
        let body = json!({ "audio_url": audio_url });
        let job = app.acme.transcribe(&body).await.expect(202);
        let id = job["id"].as_str().unwrap().to_owned();
        app.acme.wait_until_done(&id).await;
        ids.push(id);
    }
    app.pause_dispatch().await;
    let body = json!({ "audio_url": file });
    let other = app.acme.transcribe(&body).await.expect(202);
    let other = other["id"].as_str().unwrap();

    erase(&app, &ids[0]).await;
    // Whatever was due before has been looked at once Gladia has deleted this one.
    assert_eq!(app.acme.delete(&ids[1]).await.status, 204);
    wait_for_receipt(&app.acme, &ids[1], "deleted").await;
    let erased = receipt(&app.acme, &ids[0]).await;
    assert_eq!(erased["gladia"]["status"], "pending");
    assert_eq!(app.upstream.count("deletes").await, 1);

    app.resume_dispatch().await;
    app.acme.wait_until_done(other).await;
    wait_for_receipt(&app.acme, &ids[0], "deleted").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_that_leaves_gladias_copy_alone_leaves_no_trace_of_the_file() {
    let app = TestApp::start().await;
    let file = app.acme.keep(audio::short(), "a.wav").await;
    let body = json!({ "audio_url": file });
    let job = app.acme.transcribe(&body).await.expect(202);
    let id = job["id"].as_str().unwrap();
    app.acme.wait_until_done(id).await;
    sqlx::query(ERASE_JOB)
        .bind(id.parse::<Uuid>().unwrap())
        .bind("retention")
        .bind(false)
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(app.rows("jobs WHERE erased_upload_id IS NOT NULL").await, 0);
    app.finish().await;
}
