//! The event log: a row in the transaction that makes each change.

use sqlx::PgConnection;
use uuid::Uuid;

pub use crate::domain::event::EventType;
use crate::domain::ids::JobId;

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
