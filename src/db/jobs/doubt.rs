//! Failed jobs that Gladia may have done all the same: to have one of them tried again may be billed twice.
//!
//! It is asked for failed jobs alone, by a statement of its own. As a part of the one that reads a job it would cost each of
//! them, since Postgres prepares what it then does not run.

use std::collections::HashSet;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::ids::JobId;

/// Whether a failed job is one of them.
pub(super) async fn is_in_doubt(conn: &mut PgConnection, id: JobId) -> sqlx::Result<bool> {
    Ok(!those_in_doubt(conn, &[id.0]).await?.is_empty())
}

/// Which of these failed jobs are: an attempt of theirs was given up without an end, turned out to be at Gladia after it had
/// been settled otherwise, or is still asked for.
pub(super) async fn those_in_doubt(
    conn: &mut PgConnection,
    failed: &[Uuid],
) -> sqlx::Result<HashSet<Uuid>> {
    let rows = sqlx::query_scalar!(
        "
        SELECT job_id FROM attempts
        WHERE job_id = ANY ($1)
          AND (state = 'expired' OR gladia_id IS NOT NULL AND state <> 'error'
               OR coalesce(next_look_at, '-infinity') <> '-infinity')
        ",
        failed,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().collect())
}
