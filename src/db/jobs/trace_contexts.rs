//! The places in traces that jobs belong to. They are columns of `jobs`.

use sqlx::PgConnection;

use crate::domain::{ids::JobId, trace_context::TraceContext};

/// Finds out below which span a job's way goes on. `None` where nobody has said.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(conn: &mut PgConnection, id: JobId) -> sqlx::Result<Option<TraceContext>> {
    let row = sqlx::query!(
        "SELECT traceparent, tracestate FROM jobs WHERE id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.and_then(|row| {
        TraceContext::from_stored(row.traceparent.as_deref(), row.tracestate.as_deref())
    }))
}
