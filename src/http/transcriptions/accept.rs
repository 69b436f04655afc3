//! Accepting a job: the row, its idempotency key and its event in one commit.

use sqlx::Connection;

use super::{ending::Committed, lookup::find, request::RequestedOptions};
use crate::{
    db::{
        self,
        jobs::{Job, NewJob},
    },
    domain::{
        access::Caller,
        idempotency::{Fingerprint, Made},
        ids::{JobId, UploadId},
        options::Warning,
    },
    http::{
        idempotency::{HeldKey, give_back},
        problem::{Problem, ProblemType},
        request_scope::trace_context::accepting,
        state::AppState,
    },
    trace::Fact,
};

/// A job that passed every check.
pub struct Accepted<'a> {
    /// Who asks.
    pub caller: Caller,
    /// What for.
    pub options: &'a RequestedOptions,
    /// The audio.
    pub audio_url: &'a str,
    /// The upload that brought it.
    pub upload_id: Option<UploadId>,
    /// What may go wrong with it.
    pub audio_warnings: Vec<Warning>,
    /// The reserved key with the request's fingerprint.
    pub key: Option<(HeldKey, Fingerprint)>,
}

/// Commits the job, for whoever waits for its answer.
pub async fn accept(state: &AppState, accepted: Accepted<'_>) -> Result<Committed, Problem> {
    Ok(Committed {
        caller: accepted.caller,
        job: Box::new(commit(state, accepted).await?),
        is_replayed: false,
    })
}

/// Commits the job, and wakes a worker.
pub async fn commit(state: &AppState, accepted: Accepted<'_>) -> Result<Job, Problem> {
    db::pool::in_time(insert_and_commit(state, accepted)).await
}

async fn insert_and_commit(state: &AppState, accepted: Accepted<'_>) -> Result<Job, Problem> {
    let job_id: JobId = state.ids.next();
    let request = accepted.options.to_stored();
    let mut warnings = accepted.audio_warnings;
    warnings.extend_from_slice(accepted.options.warnings());
    let mut span = accepting();
    let trace = span.context();
    let mut conn = state.conn().await?;
    let mut tx = conn.begin().await?;
    let job = NewJob {
        id: job_id,
        caller: accepted.caller,
        request: &request,
        audio_url: accepted.audio_url,
        upload_id: accepted.upload_id,
        warnings: &warnings,
        batch: None,
        trace: trace.as_ref(),
        callback: accepted.options.callback(),
    };
    let mut key = accepted.key;
    if !db::jobs::insert(&mut tx, job).await? {
        let problem = Problem::new(
            ProblemType::AudioNotFound,
            "The uploaded file was erased while this request was under way. Upload it again.",
        );
        tx.rollback().await?;
        // To give the key back takes a connection, too.
        conn.put_back();
        return Err(give_back(key.map(|(key, _)| key), problem).await);
    }
    let metadata = accepted.options.metadata().map(|map| (job_id, map));
    db::jobs::metadata::insert(&mut tx, metadata, &state.rules.usage_metadata_keys).await?;
    if let Some((key, fingerprint)) = &mut key {
        key.complete(&mut tx, *fingerprint, Made::Job(job_id))
            .await?;
    }
    // Read before the commit: once it is accepted, nothing can fail any more.
    let job = find(&mut tx, accepted.caller.tenant_id, job_id).await?;
    tx.commit().await?;
    conn.put_back();
    span.add(Fact::Job(job_id));
    span.end();
    if let Some((key, _)) = key {
        key.committed();
    }
    state.wakeups.jobs_queued();
    metrics::counter!("gateway_transcriptions_accepted_total").increment(1);
    Ok(job)
}

/// Finds for a repeated request the job that its first time made.
pub async fn replay(state: &AppState, caller: Caller, job_id: JobId) -> Result<Committed, Problem> {
    let job = state
        .with_conn(async |conn| {
            // A request with a file has no other limit.
            db::pool::in_time(find(conn, caller.tenant_id, job_id)).await
        })
        .await?;
    Ok(Committed {
        caller,
        job: Box::new(job),
        is_replayed: true,
    })
}
