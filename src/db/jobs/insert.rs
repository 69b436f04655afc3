//! Accepting jobs step by step, and many in one go.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    db::{
        corrupt,
        events::{self, EventType},
        refers_to_nothing,
    },
    domain::{
        access::Caller,
        delivery::Callback,
        ids::{BatchId, JobId, UploadId},
        options::Warning,
        trace_context::{TraceContext, TraceState},
    },
};

/// A job to be accepted.
#[derive(Debug)]
pub struct NewJob<'a> {
    /// Its id.
    pub id: JobId,
    /// Who asks.
    pub caller: Caller,
    /// `{"options": …, "extra_options": …}`.
    pub request: &'a Value,
    /// The audio.
    pub audio_url: &'a str,
    /// The file, where the audio came as one.
    pub upload_id: Option<UploadId>,
    /// What may not do what the caller expects.
    pub warnings: &'a [Warning],
    /// The batch that it comes with, and its place there.
    pub batch: Option<(BatchId, i32)>,
    /// The span that what goes on with it belongs below.
    pub trace: Option<&'a TraceContext>,
    /// Where its caller wants to be called.
    pub callback: Option<Callback>,
}

/// Accepts a job. `false` where its file was erased meanwhile; the transaction is of no use any more then.
///
/// # Errors
/// Where the database does not answer.
pub async fn insert(conn: &mut PgConnection, job: NewJob<'_>) -> sqlx::Result<bool> {
    match insert_all(conn, &[job]).await {
        Ok(()) => Ok(true),
        Err(error) if refers_to_nothing(&error, "jobs_upload_id_fkey") => Ok(false),
        Err(error) => Err(error),
    }
}

/// Accepts jobs, all of one instant: in their tenant's line they stand in the order of their ids.
///
/// # Errors
/// Where the database does not answer, or a file is not there.
pub async fn insert_all(conn: &mut PgConnection, jobs: &[NewJob<'_>]) -> sqlx::Result<()> {
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let uuids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let tenant_ids: Vec<Uuid> = jobs.iter().map(|job| job.caller.tenant_id.0).collect();
    let api_key_ids: Vec<Uuid> = jobs.iter().map(|job| job.caller.api_key_id.0).collect();
    let requests: Vec<String> = jobs.iter().map(|job| job.request.to_string()).collect();
    let audio_urls: Vec<&str> = jobs.iter().map(|job| job.audio_url).collect();
    let upload_ids: Vec<Option<Uuid>> = jobs
        .iter()
        .map(|job| job.upload_id.map(|id| id.0))
        .collect();
    let warnings = jobs
        .iter()
        .map(|job| match job.warnings {
            [] => Ok(None),
            warnings => serde_json::to_string(warnings).map(Some).map_err(corrupt),
        })
        .collect::<sqlx::Result<Vec<Option<String>>>>()?;
    let callbacks = jobs
        .iter()
        .map(|job| job.callback.as_ref().map(serde_json::to_string).transpose())
        .collect::<Result<Vec<Option<String>>, _>>()
        .map_err(corrupt)?;
    let (batch_ids, batch_indexes): (Vec<Option<Uuid>>, Vec<Option<i32>>) = jobs
        .iter()
        .map(|job| job.batch.map(|(id, index)| (id.0, index)).unzip())
        .unzip();
    let traceparents: Vec<Option<String>> = jobs
        .iter()
        .map(|job| job.trace.map(|trace| trace.traceparent.to_string()))
        .collect();
    let tracestates: Vec<Option<&str>> = jobs
        .iter()
        .map(|job| job.trace?.tracestate.as_ref().map(TraceState::as_str))
        .collect();
    sqlx::query!(
        "
        INSERT INTO jobs (id, tenant_id, api_key_id, status, request, audio_url, upload_id, warnings,
                          batch_id, batch_index, callback, traceparent, tracestate, created_at, queued_at)
        -- As text: on the way through jsonb, a NUL in a string would be refused and numbers would be spelt anew.
        SELECT j.id, j.tenant_id, j.api_key_id, 'queued', j.request::json, j.audio_url, j.upload_id, j.warnings::json,
               j.batch_id, j.batch_index, j.callback::json, j.traceparent, j.tracestate,
               -- As values, so that the clock is read once for all rows.
               (SELECT gateway_now()), (SELECT gateway_now())
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::text[],
                    $8::uuid[], $9::integer[], $10::text[], $11::text[], $12::text[])
             AS j (id, tenant_id, api_key_id, request, audio_url, upload_id, warnings, batch_id, batch_index,
                   callback, traceparent, tracestate)
        ",
        &uuids,
        &tenant_ids,
        &api_key_ids,
        &requests,
        &audio_urls as &[&str],
        &upload_ids as &[Option<Uuid>],
        &warnings as &[Option<String>],
        &batch_ids as &[Option<Uuid>],
        &batch_indexes as &[Option<i32>],
        &callbacks as &[Option<String>],
        &traceparents as &[Option<String>],
        &tracestates as &[Option<&str>],
    )
    .execute(&mut *conn)
    .await?;
    events::insert_all(conn, &ids, EventType::Queued).await
}
