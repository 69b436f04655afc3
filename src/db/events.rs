//! The event log: a row in the transaction that makes each change.

use sqlx::PgConnection;

pub use crate::domain::event::EventType;
use crate::domain::ids::JobId;

/// Adds an event.
///
/// # Errors
/// Where the database does not answer.
pub async fn insert(conn: &mut PgConnection, job_id: JobId, event: EventType) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO events (tenant_id, job_id, type) SELECT tenant_id, id, $2 FROM jobs WHERE id = $1",
        job_id.0,
        event.as_str(),
    )
    .execute(conn)
    .await
    .map(|_| ())
}
