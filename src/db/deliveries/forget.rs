//! The end of the retention of deliveries, and of lanes that nobody uses any more.

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::db::clock::Kept;

/// Deletes deliveries that were through, one way or the other, too long ago to be `kept`: `limit` at most, with all that is known of
/// their tries. Says how many.
///
/// # Errors
/// Where the database does not answer.
pub async fn forget(conn: &mut PgConnection, kept: Kept, limit: i64) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        -- As an array, so that no plan reads the whole table to find them, however many it expects.
        DELETE FROM deliveries WHERE id = ANY (ARRAY(
            SELECT id FROM deliveries
            -- A clock that was behind may have stamped one that was made lately.
            WHERE finished_at < $1 AND NOT id BETWEEN $3 AND $4
            ORDER BY finished_at LIMIT $2
            -- Another replica may be at it, or somebody replay one.
            FOR UPDATE SKIP LOCKED
        ))
        ",
        kept.since,
        limit,
        kept.ids.first,
        kept.ids.last,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// Deletes lanes of callbacks in which nothing waits and nothing was sent for as long as things are `kept`: `limit` at most. Says
/// how many were looked at. Lanes of endpoints go with their endpoints.
///
/// # Errors
/// Where the database does not answer.
pub async fn forget_lanes(
    conn: &mut PgConnection,
    kept: Kept,
    limit: usize,
) -> sqlx::Result<usize> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut tx = conn.begin().await?;
    let idle = sqlx::query!(
        "
        SELECT l.id FROM delivery_lanes l
        WHERE l.origin IS NOT NULL
          AND coalesce(greatest(l.last_success_at, l.last_failure_at), '-infinity') < $1
          -- Looked up for each, since pending ones may be many before Postgres has counted them.
          AND (SELECT d.id FROM deliveries d WHERE d.lane_id = l.id AND d.status = 'pending' LIMIT 1) IS NULL
        LIMIT $2
        -- Whoever makes a delivery for it holds it.
        FOR UPDATE OF l SKIP LOCKED
        ",
        kept.since,
        limit,
    )
    .fetch_all(&mut *tx)
    .await?;
    let ids: Vec<Uuid> = idle.iter().map(|row| row.id).collect();
    // A statement of its own: it sees the deliveries of whoever held a lane until just now.
    sqlx::query!(
        "
        DELETE FROM delivery_lanes l
        WHERE l.id = ANY ($1)
          AND (SELECT d.id FROM deliveries d WHERE d.lane_id = l.id AND d.status = 'pending' LIMIT 1) IS NULL
        ",
        &ids,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(ids.len())
}
