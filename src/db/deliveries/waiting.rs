//! Where something is due, found a stretch at a time.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::ids::LaneId;

/// What a look along the lanes found.
#[derive(Debug)]
pub struct DueLanes {
    /// Lanes in which something is due.
    pub lanes: Vec<LaneId>,
    /// Where to go on. `None`: at the beginning, since the end was reached.
    pub next: Option<LaneId>,
}

/// Looks at the lanes in which something waits, `limit` of those behind `after`. The cost is a few probes of an index for each
/// of them, however much waits there, and however many more lanes there are.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_due_lanes(
    conn: &mut PgConnection,
    after: Option<LaneId>,
    limit: i32,
) -> sqlx::Result<DueLanes> {
    let rows = sqlx::query!(
        r#"
        WITH RECURSIVE clock AS MATERIALIZED (
            SELECT gateway_now() AS now
        ), waiting AS (
            -- Hops from lane to lane along the index.
            (SELECT lane_id, 1 AS nth FROM deliveries
             WHERE status = 'pending' AND lane_id > $1
             ORDER BY lane_id LIMIT 1)
            UNION ALL
            SELECT next.lane_id, w.nth + 1
            FROM waiting w
            CROSS JOIN LATERAL (
                SELECT d.lane_id FROM deliveries d
                WHERE d.status = 'pending' AND d.lane_id > w.lane_id
                ORDER BY d.lane_id LIMIT 1
            ) next
            WHERE w.nth < $2
        )
        SELECT w.lane_id AS "lane_id!",
               (l.open_until IS NULL OR l.open_until <= (SELECT now FROM clock))
               -- The first of the lane.
               AND (SELECT d.next_try_at FROM deliveries d
                    WHERE d.lane_id = w.lane_id AND d.status = 'pending'
                    ORDER BY d.next_try_at LIMIT 1) <= (SELECT now FROM clock) AS "is_due!"
        FROM waiting w LEFT JOIN delivery_lanes l ON l.id = w.lane_id
        ORDER BY w.lane_id
        "#,
        after.map_or(Uuid::nil(), |lane| lane.0),
        limit,
    )
    .fetch_all(conn)
    .await?;
    let is_cut = i32::try_from(rows.len()).is_ok_and(|count| count == limit);
    let last = rows.last().map(|row| row.lane_id.into());
    Ok(DueLanes {
        next: last.filter(|_| is_cut),
        lanes: rows
            .into_iter()
            .filter(|row| row.is_due)
            .map(|row| row.lane_id.into())
            .collect(),
    })
}
