//! A rolling update: an older version still works on the tables as they are now. Its statements stand here as it has them, those of
//! the version that knew the tables up to 0061.

use serde_json::json;
use sqlx::{Postgres, Transaction, postgres::PgQueryResult};
use uuid::Uuid;

use crate::support::{
    TestApp, audio, eventually,
    looks::lose_callbacks,
    receipts::{receipt, wait_for_receipt},
    rows::success,
};

const ACCEPT: &str = r#"
    WITH asked AS (
        SELECT a.*
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                    $8::text[], $9::text[], $10::text[], $11::bytea[])
             AS a (id, tenant_id, api_key_id, request, audio_url, warnings, callback, traceparent, tracestate,
                   key, fingerprint)
             JOIN api_keys k ON k.id = a.api_key_id AND k.tenant_id = a.tenant_id AND k.revoked_at IS NULL
        WHERE NOT EXISTS (SELECT FROM uploads u WHERE u.audio_url = a.audio_url OFFSET 0)
    ), reserved AS (
        INSERT INTO idempotency_keys (tenant_id, key, fingerprint, job_id, reserved_by, reserved_until)
        SELECT tenant_id, key, fingerprint, id, id, gateway_now() FROM asked WHERE key IS NOT NULL
        ORDER BY tenant_id, key
        ON CONFLICT (tenant_id, key) DO NOTHING
        RETURNING job_id
    ), accepted AS (
        INSERT INTO jobs (id, tenant_id, api_key_id, status, request, audio_url, warnings, callback,
                          traceparent, tracestate, created_at, queued_at)
        SELECT id, tenant_id, api_key_id, 'queued', request::json, audio_url, warnings::json, callback::json,
               traceparent, tracestate, (SELECT gateway_now()), (SELECT gateway_now())
        FROM asked WHERE key IS NULL OR id IN (SELECT job_id FROM reserved)
        RETURNING id, tenant_id, created_at
    ), described AS (
        INSERT INTO job_metadata (job_id, key, value, tenant_id, created_at, kept_for_usage)
        SELECT j.id, m.key, m.value, j.tenant_id, j.created_at, m.key = ANY ($15::text[])
        FROM unnest($12::uuid[], $13::text[], $14::text[]) AS m (job_id, key, value) JOIN accepted j ON j.id = m.job_id
    ), told AS (
        INSERT INTO events (tenant_id, job_id, type, data)
        SELECT tenant_id, id, 'transcription.queued', '{"status":"queued"}'::json FROM accepted ORDER BY id
    )
    SELECT id AS "id!", created_at AS "created_at!" FROM accepted
"#;

const KEEP_CALLBACK: &str = "
    INSERT INTO callbacks
        (id, attempt_id, method, outcome, reason, gladia_id, body, body_bytes, body_sha256, received_at,
         result_frame_start, result_frame_length)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, least(coalesce($10, gateway_now()), gateway_now()), $11, $12)
    ON CONFLICT ON CONSTRAINT callbacks_once DO UPDATE
    SET id = excluded.id, outcome = excluded.outcome, reason = excluded.reason,
        gladia_id = excluded.gladia_id, body = excluded.body,
        result_frame_start = excluded.result_frame_start, result_frame_length = excluded.result_frame_length
    WHERE callbacks.outcome IN ('quarantined', 'unproven') AND excluded.outcome <> 'quarantined'
";

const SETTLE_ATTEMPT: &str = "
    UPDATE attempts
    SET state = $2,
        finished_at = CASE WHEN state IN ('not_sent', 'refused') THEN gateway_now()
                           ELSE coalesce(finished_at, gateway_now()) END,
        settled_by = CASE WHEN gladia_id = $3 THEN settled_by ELSE 'callback' END,
        gladia_id = $3,
        next_look_at = NULL, unknown_reason = NULL,
        audio_duration_seconds = $4, billing_time_seconds = $5
    WHERE id = $1 AND state <> 'done'
";

const FREE_SLOT: &str = "
    UPDATE slots SET attempt_id = NULL, tenant_id = NULL, taken_at = NULL, deadline_at = NULL
    WHERE attempt_id = $1
";

const COMPLETE_JOB: &str = "
    UPDATE jobs
    SET status = 'done', status_reason = NULL, finished_at = gateway_now(),
        gladia_id = $2, result_callback_id = $3,
        audio_duration_seconds = $4, billing_time_seconds = $5, addon_errors = $6::text::json,
        error_type = NULL, error_code = NULL, error_message = NULL
    WHERE id = $1 AND status IN ('queued', 'submitting', 'unknown', 'processing', 'error')
";

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

async fn accept(app: &TestApp, audio_url: &str) -> String {
    let id = Uuid::now_v7();
    let nothing = [None::<String>];
    let accepted = sqlx::query(ACCEPT)
        .bind([id])
        .bind([app.acme.tenant_id])
        .bind([app.acme.api_key_id])
        .bind([json!({ "options": {}, "extra_options": {} }).to_string()])
        .bind([audio_url])
        .bind(&nothing)
        .bind(&nothing)
        .bind(&nothing)
        .bind(&nothing)
        .bind(["a key"])
        .bind([&[0_u8; 32][..]])
        .bind([id])
        .bind(["ticket"])
        .bind(["4711"])
        .bind([""; 0])
        .fetch_all(&app.pool)
        .await
        .unwrap();
    assert_eq!(accepted.len(), 1);
    id.to_string()
}

async fn tell(tx: &mut Transaction<'_, Postgres>, job: Uuid, event: &str) {
    sqlx::query(TELL)
        .bind([job])
        .bind(event)
        .bind(true)
        .execute(&mut **tx)
        .await
        .unwrap();
}

/// Takes a success for the latest attempt of a job.
async fn take_callback(app: &TestApp, job: &str) {
    let attempt = app.attempt(job).await;
    let (id, job) = (Uuid::now_v7(), job.parse::<Uuid>().unwrap());
    let gladia_id = attempt.gladia_id.unwrap();
    let body = success(&gladia_id, "taken by the older one");
    let mut tx = app.pool.begin().await.unwrap();
    let kept = sqlx::query(KEEP_CALLBACK)
        .bind(id)
        .bind(attempt.id)
        .bind("POST")
        .bind("completed")
        .bind(None::<&str>)
        .bind(&gladia_id)
        .bind(zstd::encode_all(body.as_bytes(), 1).unwrap())
        .bind(i64::try_from(body.len()).unwrap())
        .bind(&[7_u8; 32][..])
        .bind(None::<chrono::DateTime<chrono::Utc>>)
        .bind(None::<i32>)
        .bind(None::<i32>)
        .execute(&mut *tx)
        .await
        .unwrap();
    let settled = sqlx::query(SETTLE_ATTEMPT)
        .bind(attempt.id)
        .bind("done")
        .bind(&gladia_id)
        .bind(12.5)
        .bind(13.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    let freed = sqlx::query(FREE_SLOT)
        .bind(attempt.id)
        .execute(&mut *tx)
        .await
        .unwrap();
    let completed = sqlx::query(COMPLETE_JOB)
        .bind(job)
        .bind(&gladia_id)
        .bind(id)
        .bind(12.5)
        .bind(13.0)
        .bind("[]")
        .execute(&mut *tx)
        .await
        .unwrap();
    let changed = [&kept, &settled, &freed, &completed].map(PgQueryResult::rows_affected);
    assert_eq!(changed, [1; 4]);
    tell(&mut tx, job, "transcription.done").await;
    tx.commit().await.unwrap();
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
async fn what_an_older_version_accepts_completes_and_erases_is_carried_on_by_this_one() {
    let app = TestApp::start().await;
    lose_callbacks(&app).await;
    let id = accept(&app, "https://audio.example/spoken.mp3").await;
    app.acme.wait_until(&id, "processing").await;

    take_callback(&app, &id).await;
    let job = app.acme.wait_until_done(&id).await;
    assert_eq!(
        job["result"]["transcription"]["full_transcript"],
        "taken by the older one"
    );
    assert_eq!(app.acme.job(&id).await["billing_time_seconds"], 13.0);

    erase(&app, &id).await;
    wait_for_receipt(&app.acme, &id, "deleted").await;
    let told = eventually("events of all that", async || {
        let list = app.acme.get("/v1/events?after=evt_0").await.expect(200);
        let types: Vec<String> = list["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect();
        (types.len() >= 4).then_some(types)
    })
    .await;
    let kinds = ["queued", "processing", "done", "deleted"];
    assert_eq!(told, kinds.map(|kind| format!("transcription.{kind}")));
    for left in ["job_metadata", "callbacks WHERE body IS NOT NULL"] {
        assert_eq!(app.rows(left).await, 0, "{left}");
    }
    app.finish().await;
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
