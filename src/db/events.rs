//! The event log: a row in the transaction that makes each change.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::ids::JobId;

/// What happened to a job.
#[derive(Debug, Clone, Copy)]
pub enum EventType {
    /// Accepted from its caller.
    Queued,
    /// An attempt holds a slot.
    Submitting,
    /// An attempt came back unsent.
    Requeued,
    /// An attempt may or may not have reached Gladia.
    Unknown,
    /// Gladia accepted it.
    Processing,
    /// It has its result.
    Done,
    /// It has failed.
    Error,
    /// Its caller canceled it.
    Canceled,
    /// Its caller deleted it.
    Deleted,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "transcription.queued",
            Self::Submitting => "transcription.submitting",
            Self::Requeued => "transcription.requeued",
            Self::Unknown => "transcription.unknown",
            Self::Processing => "transcription.processing",
            Self::Done => "transcription.done",
            Self::Error => "transcription.error",
            Self::Canceled => "transcription.canceled",
            Self::Deleted => "transcription.deleted",
        }
    }
}

/// Adds an event.
///
/// # Errors
/// Where the database does not answer.
pub async fn insert(conn: &mut PgConnection, job_id: JobId, event: EventType) -> sqlx::Result<()> {
    insert_all(conn, &[job_id], event).await
}

/// Adds the same event to several jobs, in the order of their ids.
///
/// # Errors
/// Where the database does not answer.
pub async fn insert_all(
    conn: &mut PgConnection,
    job_ids: &[JobId],
    event: EventType,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = job_ids.iter().map(|id| id.0).collect();
    sqlx::query!(
        "
        INSERT INTO events (tenant_id, job_id, type)
        SELECT tenant_id, id, $2 FROM jobs WHERE id = ANY ($1) ORDER BY id
        ",
        &ids,
        event.as_str(),
    )
    .execute(conn)
    .await
    .map(|_| ())
}
