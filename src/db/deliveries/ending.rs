//! Deliveries that are not to be sent any more.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::{
    delivery::DeadReason,
    delivery_schedule::LONGEST_WAIT,
    ids::{EndpointId, LaneId},
};

/// How many end in one statement.
const BATCH: i64 = 10_000;

/// Ends pending deliveries of an endpoint, so many that it takes a moment at most. Whether there may be more.
///
/// One that is being sent is left to whoever sends it, and a later one to whoever would claim it: both see that the endpoint
/// is disabled or gone. Nothing here waits for a lock.
///
/// # Errors
/// Where the database does not answer.
pub async fn end_pending(
    conn: &mut PgConnection,
    endpoint_id: EndpointId,
    reason: DeadReason,
) -> sqlx::Result<bool> {
    let ended = sqlx::query!(
        "
        UPDATE deliveries
        SET status = 'dead', dead_reason = $2, finished_at = gateway_now(), lease_until = NULL, worker = NULL
        -- As values, each of which is looked up: joined, all that wait in any lane would be walked through where few did.
        WHERE id = ANY (ARRAY(
            SELECT id FROM deliveries
            -- An endpoint's lane has its id.
            WHERE lane_id = $1 AND status = 'pending'
              AND (lease_until IS NULL OR lease_until <= (SELECT gateway_now()))
              -- It may have been enabled again since.
              AND NOT EXISTS (SELECT FROM webhook_endpoints WHERE id = $1 AND status = 'enabled')
            LIMIT $3 FOR UPDATE SKIP LOCKED
        ))
        ",
        endpoint_id.0,
        reason.as_str(),
        BATCH,
    )
    .execute(conn)
    .await?
    .rows_affected();
    Ok(i64::try_from(ended).is_ok_and(|ended| ended == BATCH))
}

/// Gives up what has waited at a failing receiver for longer than any schedule lasts, `limit` at most. What waited because this
/// service stood still is not given up: it counts what had already waited that long when the receiver failed at `failed_at`. What
/// else waits there is walked past, at each failure of a receiver that has failed for days.
///
/// # Errors
/// Where the database does not answer.
pub async fn expire(
    conn: &mut PgConnection,
    lane_id: LaneId,
    failed_at: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        UPDATE deliveries
        SET status = 'dead', dead_reason = 'expired', finished_at = gateway_now(), lease_until = NULL, worker = NULL
        -- As values, each of which is looked up: joined, all that wait in any lane would be walked through where few did.
        WHERE id = ANY (ARRAY(
            SELECT id FROM deliveries
            WHERE lane_id = $1 AND status = 'pending' AND queued_at <= $2
              -- Somebody is sending it.
              AND (lease_until IS NULL OR lease_until < gateway_now())
            ORDER BY next_try_at LIMIT $3
            FOR UPDATE SKIP LOCKED
        ))
        ",
        lane_id.0,
        failed_at - LONGEST_WAIT,
        limit,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}
