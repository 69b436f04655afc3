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

/// Deletes events that are too old to be `kept`, those of `limit` that stand after a position and with each of a job's those that
/// stand before it, wherever: `limit` of jobs at most. Notes with the same commit how far their tenants' events are gone.
///
/// An event stays for as long as its job has not ended, or ended lately; as somebody has still to be told of it, or a
/// delivery shows that somebody was; as it has no number that it is to get; and as one of its job stays that happened before it.
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
            SELECT position, number, job_id, occurred_at < $2 AS is_old,
                   -- What a clock that was ahead has put into the future says nothing of what stands behind it.
                   occurred_at BETWEEN $2 AND (SELECT gateway_now()) AS is_young
            FROM events WHERE position > $1 ORDER BY position LIMIT $3
        ), ended AS MATERIALIZED (
            SELECT l.job_id
            FROM (SELECT DISTINCT job_id FROM looked WHERE is_old AND job_id IS NOT NULL) l
            WHERE EXISTS (SELECT FROM jobs j
                          WHERE j.id = l.job_id AND j.finished_at < $2
                            -- A clock that was behind may have stamped one that was completed lately.
                            AND NOT coalesce(j.result_callback_id, j.id) BETWEEN $4 AND $5 OFFSET 0)
        ), of_jobs AS MATERIALIZED (
            -- Its beginning was looked at when it was old enough and its end was not: so all of it, up to the first that stays.
            SELECT old.position
            FROM ended
            CROSS JOIN LATERAL (
                SELECT coalesce((
                    SELECT e.position FROM events e
                    WHERE e.job_id = ended.job_id
                      AND (e.occurred_at >= $2
                           OR e.number IS NULL
                              AND e.type NOT IN ('transcription.submitting', 'transcription.requeued',
                                                 'transcription.unknown')
                           OR EXISTS (SELECT FROM deliveries d
                                      WHERE d.job_id = e.job_id AND d.event_number = e.number OFFSET 0))
                    ORDER BY e.position LIMIT 1
                ), 9223372036854775807) AS position OFFSET 0
            ) stays
            CROSS JOIN LATERAL (
                SELECT e.position FROM events e
                WHERE e.job_id = ended.job_id AND e.position < stays.position
                ORDER BY e.position LIMIT $3
            ) old
            LIMIT $3
        ), of_endpoints AS MATERIALIZED (
            SELECT l.position FROM looked l
            WHERE l.is_old AND l.job_id IS NULL AND l.number IS NOT NULL
              AND NOT EXISTS (SELECT FROM deliveries d WHERE d.job_id IS NULL AND d.event_number = l.number OFFSET 0)
        ), due AS MATERIALIZED (
            SELECT position FROM events
            WHERE position = ANY (ARRAY(SELECT position FROM of_jobs UNION ALL SELECT position FROM of_endpoints))
            ORDER BY position
            -- Another replica may be at it, and is waited for: what it has not deleted yet is not left behind.
            FOR UPDATE
        ), gone AS (
            DELETE FROM events WHERE position = ANY (ARRAY(SELECT position FROM due)) RETURNING tenant_id, number
        ), noted AS (
            INSERT INTO event_horizons (tenant_id, expired_through)
            SELECT tenant_id, max(number) FROM gone WHERE number > 0 GROUP BY tenant_id ORDER BY tenant_id
            ON CONFLICT (tenant_id) DO UPDATE
            SET expired_through = greatest(event_horizons.expired_through, excluded.expired_through)
        )
        SELECT (SELECT count(*) FROM gone) AS "deleted!",
               (SELECT count(*) FROM looked) AS "looked!",
               (SELECT count(*) = $3 FROM of_jobs) AS "is_cut!",
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
    if row.is_cut {
        // The rest of these jobs, from the same place.
        return Ok(Forgotten {
            deleted: row.deleted,
            looked_through: after,
            has_more: true,
        });
    }
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
