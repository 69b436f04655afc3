//! Deliveries that are sent once more, because their tenant asks for it.
//!
//! A statement looks at the endpoint and the job without their locks: who claims a delivery looks again.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    db::corrupt,
    domain::{
        ids::{DeliveryId, EndpointId, JobId, TenantId},
        webhook_endpoint::EndpointStatus,
    },
};

/// What came of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// It is due.
    Due,
    /// It is being sent at this moment.
    BeingSent,
    /// Its endpoint is disabled.
    EndpointDisabled,
    /// Its endpoint was deleted.
    EndpointDeleted,
    /// It is the callback of a job whose content is erased.
    Erased(JobId),
    /// Its event is gone from the log.
    Expired,
    /// The tenant has no such delivery.
    NotFound,
}

/// Makes a delivery due, whatever has become of it, unless it is being sent. Its earlier tries stay on record. A lane that rests is
/// half open from now on: somebody wants its receiver to be asked.
///
/// # Errors
/// Where the database does not answer.
pub async fn replay(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: DeliveryId,
) -> sqlx::Result<Replayed> {
    let row = sqlx::query!(
        r#"
        WITH found AS (
            SELECT d.id, d.job_id, d.endpoint_id, e.status AS endpoint_status,
                   (d.status = 'pending' AND d.lease_until > gateway_now()) IS TRUE AS is_being_sent,
                   d.endpoint_id IS NULL AND j.callback IS NULL AS is_erased,
                   NOT EXISTS (SELECT FROM events v WHERE v.number = d.event_number AND v.number > 0 OFFSET 0) AS is_expired
            FROM deliveries d
            LEFT JOIN webhook_endpoints e ON e.id = d.endpoint_id
            LEFT JOIN LATERAL (SELECT callback FROM jobs WHERE id = d.job_id OFFSET 0) j ON true
            WHERE d.id = $1 AND d.tenant_id = $2
            FOR UPDATE OF d
        ), due AS (
            UPDATE deliveries d
            SET status = 'pending', dead_reason = NULL, finished_at = NULL, tries = 0,
                queued_at = gateway_now(), next_try_at = gateway_now(), lease_until = NULL, worker = NULL
            FROM found f
            WHERE d.id = f.id AND NOT f.is_being_sent AND NOT f.is_erased AND NOT f.is_expired
              AND (f.endpoint_id IS NULL OR f.endpoint_status = 'enabled')
            RETURNING d.id, d.lane_id
        ), asked AS (
            UPDATE delivery_lanes SET open_until = gateway_now()
            -- As an array, and in words that the index of lanes that rest does not answer to: it is found by its id, however few
            -- there are.
            WHERE id = ANY (ARRAY(SELECT lane_id FROM due)) AND coalesce(open_until, '-infinity') > gateway_now()
        )
        SELECT f.job_id, f.endpoint_id, f.endpoint_status AS "endpoint_status?",
               f.is_being_sent AS "is_being_sent!", f.is_erased AS "is_erased!", f.is_expired AS "is_expired!",
               EXISTS (SELECT FROM due) AS "is_due!"
        FROM found f
        "#,
        id.0,
        tenant_id.0,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else {
        return Ok(Replayed::NotFound);
    };
    if row.is_due {
        return Ok(Replayed::Due);
    }
    let status = endpoint_status(row.endpoint_status)?;
    Ok(match (row.endpoint_id, status, row.job_id) {
        (Some(_), None, _) => Replayed::EndpointDeleted,
        (Some(_), Some(EndpointStatus::Disabled), _) => Replayed::EndpointDisabled,
        (None, _, Some(job_id)) if row.is_erased => Replayed::Erased(job_id.into()),
        _ if row.is_expired => Replayed::Expired,
        _ => Replayed::BeingSent,
    })
}

/// Makes the oldest dead deliveries of an endpoint due, `limit` at most, of those that were made at an instant or later. Says
/// how many. None of an endpoint that is disabled meanwhile.
///
/// # Errors
/// Where the database does not answer.
pub async fn replay_dead(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    endpoint_id: EndpointId,
    since: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        WITH dead AS (
            SELECT id, created_at FROM deliveries
            WHERE endpoint_id = $1 AND tenant_id = $2 AND status = 'dead' AND created_at >= $3
              AND EXISTS (SELECT FROM webhook_endpoints WHERE id = $1 AND tenant_id = $2 AND status = 'enabled')
              AND EXISTS (SELECT FROM events v WHERE v.number = event_number AND v.number > 0 OFFSET 0)
            ORDER BY created_at, id LIMIT $4
            FOR UPDATE SKIP LOCKED
        ), in_order AS (
            -- They come due in the order in which they were made.
            SELECT id, (SELECT gateway_now()) AS now,
                   row_number() OVER (ORDER BY created_at, id) * interval '1 microsecond' AS place
            FROM dead
        )
        UPDATE deliveries d
        SET status = 'pending', dead_reason = NULL, finished_at = NULL, tries = 0,
            queued_at = o.now, next_try_at = o.now + o.place, lease_until = NULL, worker = NULL
        FROM in_order o
        WHERE d.id = o.id
        ",
        endpoint_id.0,
        tenant_id.0,
        since,
        limit,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// Whether an endpoint has dead deliveries that were made at an instant or later.
///
/// # Errors
/// Where the database does not answer.
pub async fn has_dead(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    endpoint_id: EndpointId,
    since: DateTime<Utc>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM deliveries
            WHERE endpoint_id = $1 AND tenant_id = $2 AND status = 'dead' AND created_at >= $3
              AND EXISTS (SELECT FROM events v WHERE v.number = event_number AND v.number > 0 OFFSET 0)
        ) AS "has_dead!"
        "#,
        endpoint_id.0,
        tenant_id.0,
        since,
    )
    .fetch_one(conn)
    .await
}

fn endpoint_status(name: Option<String>) -> sqlx::Result<Option<EndpointStatus>> {
    name.map(|name| name.parse().map_err(corrupt)).transpose()
}
