//! Jobs that their callers end: canceled or deleted.

use sqlx::{Connection, PgConnection};

use super::{
    corrupt,
    events::{self, EventType},
};
use crate::domain::{
    ids::{JobId, TenantId, UploadId},
    job::JobStatus,
};

/// What came of a cancel or a delete.
#[derive(Debug, PartialEq, Eq)]
pub enum Moved {
    /// It is done, now or before.
    Done,
    /// The job has ended otherwise.
    AlreadyEnded(JobStatus),
    /// Its content is erased.
    Deleted,
    /// The tenant has no such job.
    NotFound,
}

/// Cancels a job. In flight, its attempt is still settled and keeps its slot; its content is discarded.
///
/// # Errors
/// Where the database does not answer.
pub async fn cancel(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: JobId,
) -> sqlx::Result<Moved> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock(&mut tx, tenant_id, id).await? else {
        return Ok(Moved::NotFound);
    };
    if locked.is_deleted {
        return Ok(Moved::Deleted);
    }
    match locked.status {
        JobStatus::Canceled => return Ok(Moved::Done),
        status @ (JobStatus::Done | JobStatus::Error) => return Ok(Moved::AlreadyEnded(status)),
        JobStatus::Queued | JobStatus::Submitting | JobStatus::Unknown | JobStatus::Processing => {}
    }
    mark_as_canceled(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Moved::Done)
}

/// Erases a job's content: request, audio reference, result, kept callbacks. A job that has not ended is canceled too.
///
/// # Errors
/// Where the database does not answer.
pub async fn delete(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: JobId,
) -> sqlx::Result<Moved> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock(&mut tx, tenant_id, id).await? else {
        return Ok(Moved::NotFound);
    };
    if locked.is_deleted {
        return Ok(Moved::Done);
    }
    if !locked.status.is_terminal() {
        mark_as_canceled(&mut tx, id).await?;
    }
    sqlx::query!(
        "
        UPDATE jobs
        SET deleted_at = gateway_now(), discard = true, request = NULL, audio_url = NULL,
            upload_id = NULL, result_callback_id = NULL, addon_errors = NULL, error_message = NULL
        WHERE id = $1 AND deleted_at IS NULL
        ",
        id.0,
    )
    .execute(&mut *tx)
    .await?;
    // Gladia's words on how it went may repeat the request.
    sqlx::query!("UPDATE attempts SET detail = NULL WHERE job_id = $1", id.0)
        .execute(&mut *tx)
        .await?;
    if let Some(upload_id) = locked.upload_id {
        delete_upload_without_jobs(&mut tx, upload_id).await?;
    }
    sqlx::query!(
        "
        UPDATE callbacks SET body = NULL
        WHERE attempt_id IN (SELECT id FROM attempts WHERE job_id = $1) AND body IS NOT NULL
        ",
        id.0,
    )
    .execute(&mut *tx)
    .await?;
    events::insert(&mut tx, id, EventType::Deleted).await?;
    tx.commit().await?;
    Ok(Moved::Done)
}

/// Forgets a file that came with a job, unless another job uses it.
async fn delete_upload_without_jobs(conn: &mut PgConnection, id: UploadId) -> sqlx::Result<()> {
    sqlx::query!(
        "
        DELETE FROM uploads
        WHERE id = $1 AND NOT is_standalone AND NOT EXISTS (SELECT FROM jobs WHERE upload_id = $1)
        ",
        id.0,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// A job that nobody else can move until the transaction ends.
struct LockedJob {
    status: JobStatus,
    upload_id: Option<UploadId>,
    is_deleted: bool,
}

async fn lock(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: JobId,
) -> sqlx::Result<Option<LockedJob>> {
    let row = sqlx::query!(
        "SELECT status, upload_id, deleted_at FROM jobs WHERE id = $1 AND tenant_id = $2 FOR UPDATE",
        id.0,
        tenant_id.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(LockedJob {
            status: row.status.parse().map_err(corrupt)?,
            upload_id: row.upload_id.map(Into::into),
            is_deleted: row.deleted_at.is_some(),
        })
    })
    .transpose()
}

/// The caller holds the job's lock and has seen that it has not ended.
async fn mark_as_canceled(conn: &mut PgConnection, id: JobId) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE jobs
        SET status = 'canceled', discard = true, finished_at = gateway_now(),
            status_reason = CASE
                WHEN status = 'queued' THEN 'canceled_before_submission' ELSE 'canceled_in_flight' END
        WHERE id = $1 AND status IN ('queued', 'submitting', 'unknown', 'processing')
        ",
        id.0,
    )
    .execute(&mut *conn)
    .await?;
    events::insert(conn, id, EventType::Canceled).await
}
