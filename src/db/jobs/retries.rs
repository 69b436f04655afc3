//! Jobs that are tried again after an error, because their callers ask for it.

use sqlx::{Connection, PgConnection};

use super::find;
use crate::{
    db::events::{self, EventType},
    domain::{
        ids::{JobId, TenantId},
        job::JobStatus,
        retry::RetryCost,
    },
};

/// What came of a retry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Retried {
    /// It is in line again.
    Queued(RetryCost),
    /// It has not ended, so nothing was changed.
    UnderWay,
    /// It may be billed a second time, which its caller has not agreed to.
    NeedsConsent {
        /// Seconds of audio, where they are known.
        audio_duration_seconds: Option<f64>,
    },
    /// It has ended otherwise than by an error.
    AlreadyEnded(JobStatus),
    /// Its content is erased.
    Deleted,
    /// The tenant has no such job.
    NotFound,
}

/// Puts a job that has failed at the end of its tenant's line.
///
/// `accepts_second_bill`: its caller agrees that the same audio may be billed twice.
///
/// # Errors
/// Where the database does not answer.
pub async fn retry(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: JobId,
    accepts_second_bill: bool,
) -> sqlx::Result<Retried> {
    let mut tx = conn.begin().await?;
    sqlx::query!(
        "SELECT id FROM jobs WHERE id = $1 AND tenant_id = $2 FOR UPDATE",
        id.0,
        tenant_id.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(job) = find(&mut tx, tenant_id, id).await? else {
        return Ok(Retried::NotFound);
    };
    if job.deleted_at.is_some() {
        return Ok(Retried::Deleted);
    }
    let error = match (job.status, job.error) {
        (status @ (JobStatus::Done | JobStatus::Canceled), _) => {
            return Ok(Retried::AlreadyEnded(status));
        }
        (JobStatus::Error, Some(error)) => error,
        _ => return Ok(Retried::UnderWay),
    };
    if error.retry_cost.may_be_billed_twice() && !accepts_second_bill {
        let of_upload = job.upload.and_then(|upload| upload.audio_duration_seconds);
        return Ok(Retried::NeedsConsent {
            audio_duration_seconds: job.audio_duration_seconds.or(of_upload),
        });
    }
    let moved = sqlx::query!(
        "
        UPDATE jobs
        SET status = 'queued', status_reason = NULL, finished_at = NULL, queued_at = gateway_now(),
            retries = retries + 1, gladia_id = NULL, error_type = NULL, error_code = NULL, error_message = NULL
        WHERE id = $1 AND status = 'error' AND deleted_at IS NULL
          -- An attempt of a job that has failed has ended. Were one open, no claim could ever add the next.
          AND NOT EXISTS (SELECT FROM attempts WHERE job_id = $1 AND finished_at IS NULL)
        ",
        id.0,
    )
    .execute(&mut *tx)
    .await?;
    if moved.rows_affected() == 0 {
        return Ok(Retried::UnderWay);
    }
    events::insert(&mut tx, id, EventType::Retried).await?;
    tx.commit().await?;
    Ok(Retried::Queued(error.retry_cost))
}
