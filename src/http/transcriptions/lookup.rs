//! Finding the job that a path names.

use sqlx::PgConnection;

use super::result::no_result;
use crate::{
    db::{
        self,
        jobs::{Job, StoredResult},
    },
    domain::ids::{CallbackId, JobId, TenantId},
    http::{auth::presumed::Presumed, problem::Problem, request::id_path::InPath, state::AppState},
};

impl InPath for JobId {
    fn names_nothing() -> Problem {
        Problem::no_such_transcription()
    }
}

/// Finds the job of a caller who is presumed to be one, with its result where that is wanted and small. Of one that was erased, the
/// problem holds the receipt.
pub async fn find_presumed(
    state: &AppState,
    presumed: &Presumed,
    id: JobId,
    wants_result: bool,
) -> Result<Box<Job>, Problem> {
    let mut conn = state.conn().await?;
    let found = db::jobs::find_of_key(&mut conn, presumed.caller(), id, wants_result).await?;
    conn.put_back();
    if let Some(job) = found.filter(|job| job.deleted_at.is_none()) {
        return Ok(Box::new(job));
    }
    // Before anybody is told that there is none.
    let caller = presumed.prove(state).await?;
    let looking = state.with_conn(async |conn| find(conn, caller.tenant_id, id).await);
    Ok(Box::new(looking.await?))
}

/// Finds the result of such a caller's job: the callback that brought it, and what is stored of it where that is wanted and small.
///
/// # Errors
/// Where it has none, and why that is so.
pub async fn find_result_presumed(
    state: &AppState,
    presumed: &Presumed,
    id: JobId,
    wants_result: bool,
) -> Result<(CallbackId, Option<StoredResult>), Problem> {
    let mut conn = state.conn().await?;
    let found =
        db::jobs::find_result_of_key(&mut conn, presumed.caller(), id, wants_result).await?;
    conn.put_back();
    let (status, callback_id, small) = if let Some(job) = found {
        (job.status, job.callback_id, job.small)
    } else {
        let job = find_presumed(state, presumed, id, false).await?;
        (job.status, job.result_callback_id, None)
    };
    let callback_id = callback_id.ok_or_else(|| no_result(status))?;
    Ok((callback_id, small))
}

/// Finds a tenant's job that was not erased. Of one that was, the problem holds the receipt.
pub async fn find(conn: &mut PgConnection, tenant_id: TenantId, id: JobId) -> Result<Job, Problem> {
    let job = db::jobs::find(conn, tenant_id, id)
        .await?
        .ok_or_else(Problem::no_such_transcription)?;
    if job.deleted_at.is_some() {
        let receipt = db::jobs::receipts::find(conn, id).await?;
        return Err(receipt.map_or_else(Problem::deleted, Problem::erased));
    }
    Ok(job)
}
