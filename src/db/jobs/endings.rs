//! Jobs that are ended from outside: canceled, deleted by their callers, or erased when the retention ends.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::metadata;
use crate::{
    db::{
        batches,
        clock::Kept,
        corrupt, deliveries,
        events::{self, EventType},
        upstream_deletions,
    },
    domain::{
        erasure::ErasedBy,
        ids::{JobId, TenantId, UploadId},
        job::JobStatus,
    },
};

/// What came of a cancel or a delete.
#[derive(Debug, PartialEq, Eq)]
pub enum Moved {
    /// It is done.
    Done,
    /// It was done before.
    Before,
    /// The job has ended otherwise.
    AlreadyEnded(JobStatus),
    /// Its content is erased.
    Deleted,
    /// The tenant has no such job.
    NotFound,
}

/// What came of deleting a job only if it has ended.
#[derive(Debug, PartialEq, Eq)]
pub enum DeletedEnded {
    /// Its content is erased now.
    Done,
    /// It has not ended, and stays as it is.
    StillRuns,
    /// The tenant has no such job, or none any more.
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
        JobStatus::Canceled => return Ok(Moved::Before),
        status @ (JobStatus::Done | JobStatus::Error) => return Ok(Moved::AlreadyEnded(status)),
        JobStatus::Queued | JobStatus::Submitting | JobStatus::Unknown | JobStatus::Processing => {}
    }
    mark_as_canceled(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Moved::Done)
}

/// Erases a job's content for its caller: request, audio reference, result, kept callbacks. A job that has not ended is
/// canceled too. `deletes_at_gladia`: Gladia's copy is to be deleted as well.
///
/// # Errors
/// Where the database does not answer.
pub async fn delete(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: JobId,
    deletes_at_gladia: bool,
) -> sqlx::Result<Moved> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock(&mut tx, tenant_id, id).await? else {
        return Ok(Moved::NotFound);
    };
    if locked.is_deleted {
        return Ok(Moved::Before);
    }
    if !locked.status.is_terminal() {
        mark_as_canceled(&mut tx, id).await?;
    }
    let upload_id = locked.upload_id;
    erase(&mut tx, id, upload_id, ErasedBy::Request, deletes_at_gladia).await?;
    tx.commit().await?;
    Ok(Moved::Done)
}

/// The same, of a job that has ended and of no other.
///
/// # Errors
/// Where the database does not answer.
pub async fn delete_ended(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: JobId,
    deletes_at_gladia: bool,
) -> sqlx::Result<DeletedEnded> {
    let mut tx = conn.begin().await?;
    let locked = lock(&mut tx, tenant_id, id).await?;
    let Some(locked) = locked.filter(|job| !job.is_deleted) else {
        return Ok(DeletedEnded::NotFound);
    };
    if !locked.status.is_terminal() {
        return Ok(DeletedEnded::StillRuns);
    }
    let upload_id = locked.upload_id;
    erase(&mut tx, id, upload_id, ErasedBy::Request, deletes_at_gladia).await?;
    tx.commit().await?;
    Ok(DeletedEnded::Done)
}

/// Where the walk through what has ended has come to.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Which job.
    pub id: JobId,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

/// Finds jobs that ended too long ago to be `kept`, the oldest first; only those behind `after`.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_expired(
    conn: &mut PgConnection,
    kept: Kept,
    after: Option<Ended>,
    limit: i64,
) -> sqlx::Result<Vec<Ended>> {
    let rows = sqlx::query!(
        r#"
        SELECT id, finished_at AS "finished_at!" FROM jobs
        WHERE finished_at IS NOT NULL AND deleted_at IS NULL
          AND finished_at <= $1
          AND (finished_at, id) > (coalesce($3, '-infinity'::timestamptz), $4)
          -- A clock that was behind may have stamped one that was completed lately.
          AND NOT coalesce(result_callback_id, id) BETWEEN $5 AND $6
        ORDER BY finished_at, id LIMIT $2
        "#,
        kept.since,
        limit,
        after.map(|after| after.finished_at),
        after.map_or(Uuid::nil(), |after| after.id.0),
        kept.ids.first,
        kept.ids.last,
    )
    .fetch_all(conn)
    .await?;
    let ended = rows.into_iter().map(|row| Ended {
        id: row.id.into(),
        finished_at: row.finished_at,
    });
    Ok(ended.collect())
}

/// Erases one of them. `false` where somebody else does, or has; or where it is not due any more.
///
/// # Errors
/// Where the database does not answer.
pub async fn erase_expired(
    conn: &mut PgConnection,
    id: JobId,
    kept: Kept,
    deletes_at_gladia: bool,
) -> sqlx::Result<bool> {
    let mut tx = conn.begin().await?;
    let row = sqlx::query!(
        "
        SELECT upload_id FROM jobs
        -- Asked again, because a retry may have ended anew since the job was found. In words that no index of what has
        -- ended answers to: all of it would be walked through where little was.
        WHERE id = $1 AND deleted_at IS NULL
          AND coalesce(finished_at, 'infinity') <= $2 AND NOT coalesce(result_callback_id, id) BETWEEN $3 AND $4
        FOR UPDATE SKIP LOCKED
        ",
        id.0,
        kept.since,
        kept.ids.first,
        kept.ids.last,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(false) };
    let upload_id = row.upload_id.map(Into::into);
    erase(
        &mut tx,
        id,
        upload_id,
        ErasedBy::Retention,
        deletes_at_gladia,
    )
    .await?;
    tx.commit().await?;
    Ok(true)
}

/// Erases the content of a job that has ended. The caller holds its lock.
async fn erase(
    conn: &mut PgConnection,
    id: JobId,
    upload_id: Option<UploadId>,
    by: ErasedBy,
    deletes_at_gladia: bool,
) -> sqlx::Result<()> {
    let batch_id = sqlx::query!(
        "
        UPDATE jobs
        SET deleted_at = gateway_now(), erased_by = $2, deletes_at_gladia = $3, discard = true, request = NULL, audio_url = NULL,
            upload_id = NULL, result_callback_id = NULL, addon_errors = NULL, error_message = NULL,
            warnings = NULL, callback = NULL,
            -- What is deleted at Gladia may take the file along, also for others.
            erased_upload_id = CASE
                WHEN $3 AND EXISTS (SELECT FROM attempts WHERE job_id = $1 AND (gladia_id IS NOT NULL OR finished_at IS NULL))
                  OR EXISTS (SELECT FROM upstream_deletions WHERE job_id = $1 AND finished_at IS NULL)
                THEN upload_id END,
            -- What others have said in their words. Where the trace goes on stays: it names nothing but the trace.
            tracestate = NULL
        WHERE id = $1 AND deleted_at IS NULL
        RETURNING batch_id
        ",
        id.0,
        by.as_str(),
        deletes_at_gladia,
    )
    .fetch_optional(&mut *conn)
    .await?
    .and_then(|row| row.batch_id);
    metadata::delete(conn, id).await?;
    // Gladia's words on how it went may repeat the request.
    sqlx::query!("UPDATE attempts SET detail = NULL WHERE job_id = $1", id.0)
        .execute(&mut *conn)
        .await?;
    if let Some(upload_id) = upload_id {
        delete_upload_without_jobs(conn, upload_id).await?;
    }
    sqlx::query!(
        "
        UPDATE callbacks SET body = NULL, result_frame_start = NULL, result_frame_length = NULL
        WHERE attempt_id = ANY (ARRAY(SELECT id FROM attempts WHERE job_id = $1)) AND body IS NOT NULL
        ",
        id.0,
    )
    .execute(&mut *conn)
    .await?;
    deliveries::erase_of_job(conn, id).await?;
    if deletes_at_gladia {
        upstream_deletions::request_for_erased(conn, id).await?;
    }
    events::insert(conn, id, EventType::Deleted).await?;
    match batch_id {
        Some(batch_id) => batches::erase_with_last_job(conn, batch_id.into()).await,
        None => Ok(()),
    }
}

/// Forgets a file that came with a job, unless another job uses it.
async fn delete_upload_without_jobs(conn: &mut PgConnection, id: UploadId) -> sqlx::Result<()> {
    // First of all nobody else may begin to use it; the statement after this one sees whoever has.
    sqlx::query!("SELECT id FROM uploads WHERE id = $1 FOR UPDATE", id.0)
        .fetch_optional(&mut *conn)
        .await?;
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
                -- An attempt before a retry may have been billed, or still be.
                WHEN status = 'queued' AND NOT EXISTS (
                    SELECT FROM attempts WHERE job_id = $1 AND (gladia_id IS NOT NULL OR state = 'expired')
                ) THEN 'canceled_before_submission'
                ELSE 'canceled_in_flight' END
        WHERE id = $1 AND status IN ('queued', 'submitting', 'unknown', 'processing')
        ",
        id.0,
    )
    .execute(&mut *conn)
    .await?;
    events::insert(conn, id, EventType::Canceled).await
}
