//! What almost every create is: audio on somebody else's server, and an idempotency key that nobody has used.
//!
//! One statement, which is its own transaction, accepts as many of these as there are: it asks whether each one's API key is
//! still good and its idempotency key free, and writes job, metadata, event and key. Of whatever is otherwise nothing is
//! written, and it goes the long way.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{
    access::Caller,
    idempotency::{Fingerprint, IdempotencyKey},
    ids::JobId,
    trace_context::{TraceContext, TraceState},
};

/// A job that one statement can accept.
#[derive(Debug)]
pub struct OrdinaryJob {
    /// Its id.
    pub id: JobId,
    /// Who asks, unless the key was revoked meanwhile.
    pub caller: Caller,
    /// `{"options": …, "extra_options": …}`, as JSON.
    pub request: String,
    /// The audio: no upload's.
    pub audio_url: String,
    /// What may not do what the caller expects, as JSON.
    pub warnings: Option<String>,
    /// Where its caller wants to be called, as JSON.
    pub callback: Option<String>,
    /// What it can be searched and counted by.
    pub metadata: Vec<(String, String)>,
    /// The span that what goes on with it belongs below.
    pub trace: Option<TraceContext>,
    /// The key that it is to be known by.
    pub key: Option<(IdempotencyKey, Fingerprint)>,
}

/// Accepts jobs, and says when. Those that it leaves out were not accepted. The metadata under `usage_keys` outlives its
/// job's content.
///
/// # Errors
/// Where the database does not answer, or refuses one of them; then none is accepted.
pub async fn accept_in_one_statement(
    conn: &mut PgConnection,
    jobs: &[OrdinaryJob],
    usage_keys: &[String],
) -> sqlx::Result<HashMap<JobId, DateTime<Utc>>> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.id.0).collect();
    let tenant_ids: Vec<Uuid> = jobs.iter().map(|job| job.caller.tenant_id.0).collect();
    let api_key_ids: Vec<Uuid> = jobs.iter().map(|job| job.caller.api_key_id.0).collect();
    let requests: Vec<&str> = jobs.iter().map(|job| job.request.as_str()).collect();
    let audio_urls: Vec<&str> = jobs.iter().map(|job| job.audio_url.as_str()).collect();
    let warnings: Vec<Option<&str>> = jobs.iter().map(|job| job.warnings.as_deref()).collect();
    let callbacks: Vec<Option<&str>> = jobs.iter().map(|job| job.callback.as_deref()).collect();
    let traceparents: Vec<Option<String>> = jobs
        .iter()
        .map(|job| Some(job.trace.as_ref()?.traceparent.to_string()))
        .collect();
    let tracestates: Vec<Option<&str>> = jobs
        .iter()
        .map(|job| {
            job.trace
                .as_ref()?
                .tracestate
                .as_ref()
                .map(TraceState::as_str)
        })
        .collect();
    let keys: Vec<Option<&str>> = jobs
        .iter()
        .map(|job| Some(job.key.as_ref()?.0.as_str()))
        .collect();
    let fingerprints: Vec<Option<&[u8]>> = jobs
        .iter()
        .map(|job| Some(job.key.as_ref()?.1.as_bytes()))
        .collect();
    let (mut described, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for job in jobs {
        for (name, value) in &job.metadata {
            described.push(job.id.0);
            names.push(name.as_str());
            values.push(value.as_str());
        }
    }
    let rows = sqlx::query!(
        r#"
        WITH asked AS (
            SELECT a.*
            FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                        $8::text[], $9::text[], $10::text[], $11::bytea[])
                 AS a (id, tenant_id, api_key_id, request, audio_url, warnings, callback, traceparent, tracestate,
                       key, fingerprint)
                 JOIN api_keys k ON k.id = a.api_key_id AND k.tenant_id = a.tenant_id AND k.revoked_at IS NULL
            -- A file that came through here has an owner, and goes the long way.
            WHERE NOT EXISTS (SELECT FROM uploads u WHERE u.audio_url = a.audio_url OFFSET 0)
        ), reserved AS (
            INSERT INTO idempotency_keys (tenant_id, key, fingerprint, job_id, reserved_by, reserved_until)
            SELECT tenant_id, key, fingerprint, id, id, gateway_now() FROM asked WHERE key IS NOT NULL
            -- In one order, so that of two statements with the same keys one waits for the other.
            ORDER BY tenant_id, key
            ON CONFLICT (tenant_id, key) DO NOTHING
            RETURNING job_id
        ), accepted AS (
            INSERT INTO jobs (id, tenant_id, api_key_id, status, request, audio_url, warnings, callback,
                              traceparent, tracestate, created_at, queued_at)
            -- As text: on the way through jsonb, a NUL in a string would be refused and numbers would be spelt anew.
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
        "#,
        &ids,
        &tenant_ids,
        &api_key_ids,
        &requests as &[&str],
        &audio_urls as &[&str],
        &warnings as &[Option<&str>],
        &callbacks as &[Option<&str>],
        &traceparents as &[Option<String>],
        &tracestates as &[Option<&str>],
        &keys as &[Option<&str>],
        &fingerprints as &[Option<&[u8]>],
        &described,
        &names as &[&str],
        &values as &[&str],
        usage_keys,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id.into(), row.created_at))
        .collect())
}
