//! The end of the retention of deliveries.

use std::time::Duration;

use sqlx::PgConnection;

/// Deletes deliveries that were through, one way or the other, longer ago than the retention: `limit` at most, with all
/// that is known of their tries. Says how many.
///
/// # Errors
/// Where the database does not answer.
pub async fn forget(conn: &mut PgConnection, retention: Duration, limit: i64) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        DELETE FROM deliveries WHERE id IN (
            SELECT id FROM deliveries
            -- As a value, so that the index ends the walk.
            WHERE finished_at < (SELECT gateway_now() - make_interval(secs => $1))
            ORDER BY finished_at LIMIT $2
            -- Another replica may be at it, or somebody replay one.
            FOR UPDATE SKIP LOCKED
        )
        ",
        retention.as_secs_f64(),
        limit,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}
