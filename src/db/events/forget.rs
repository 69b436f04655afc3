//! The end of the log's retention.

use sqlx::PgConnection;

use super::EventPosition;
use crate::db::clock::Kept;

/// What a look along the log did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// How many events are gone.
    pub deleted: i64,
    /// Up to which position nothing was young, and all was looked at.
    pub looked_through: EventPosition,
    /// Whether there may be more that is old.
    pub has_more: bool,
}

/// Deletes events that are too old to be `kept`, of `limit` that stand after a position, and notes with the same commit how far
/// their tenants' events are gone.
///
/// An event stays for as long as its job has not ended, or ended lately; as somebody has still to be told of it, or a
/// delivery shows that somebody was; and as it has no number that it is to get.
///
/// # Errors
/// Where the database does not answer.
pub async fn forget(
    conn: &mut PgConnection,
    after: EventPosition,
    kept: Kept,
    limit: i64,
) -> sqlx::Result<Forgotten> {
    let row = sqlx::query!(
        r#"
        WITH looked AS MATERIALIZED (
            SELECT position, occurred_at < $2 AS is_old,
                   -- What a clock that was ahead has put into the future says nothing of what stands behind it.
                   occurred_at BETWEEN $2 AND (SELECT gateway_now()) AS is_young
            FROM events WHERE position > $1 ORDER BY position LIMIT $3
        ), due AS MATERIALIZED (
            SELECT e.position
            FROM looked l JOIN events e ON e.position = l.position
            WHERE l.is_old
              AND (e.number IS NOT NULL
                   OR e.type IN ('transcription.submitting', 'transcription.requeued', 'transcription.unknown'))
              AND CASE WHEN e.job_id IS NULL
                  THEN NOT EXISTS (SELECT FROM deliveries d WHERE d.job_id IS NULL AND d.event_number = e.number OFFSET 0)
                  ELSE EXISTS (SELECT FROM jobs j
                               WHERE j.id = e.job_id AND j.finished_at < $2
                                 -- A clock that was behind may have stamped one that was completed lately.
                                 AND NOT coalesce(j.result_callback_id, j.id) BETWEEN $4 AND $5 OFFSET 0)
                       AND NOT EXISTS (SELECT FROM deliveries d
                                       WHERE d.job_id = e.job_id AND d.event_number = e.number OFFSET 0)
                  END
            ORDER BY e.position
            -- Another replica may be at it.
            FOR UPDATE OF e SKIP LOCKED
        ), gone AS (
            DELETE FROM events e USING due WHERE e.position = due.position RETURNING e.tenant_id, e.number
        ), noted AS (
            INSERT INTO event_horizons (tenant_id, expired_through)
            SELECT tenant_id, max(number) FROM gone WHERE number > 0 GROUP BY tenant_id ORDER BY tenant_id
            ON CONFLICT (tenant_id) DO UPDATE
            SET expired_through = greatest(event_horizons.expired_through, excluded.expired_through)
        )
        SELECT (SELECT count(*) FROM gone) AS "deleted!",
               (SELECT count(*) FROM looked) AS "looked!",
               (SELECT max(position) FROM looked) AS last_position,
               (SELECT min(position) FROM looked WHERE is_young) AS first_young
        "#,
        after.0,
        kept.since,
        limit,
        kept.ids.first,
        kept.ids.last,
    )
    .fetch_one(conn)
    .await?;
    let before_first_young = row.first_young.map(|position| position - 1);
    Ok(Forgotten {
        deleted: row.deleted,
        looked_through: before_first_young
            .or(row.last_position)
            .map_or(after, EventPosition),
        // They are about as old as their positions say.
        has_more: before_first_young.is_none() && row.looked == limit,
    })
}
