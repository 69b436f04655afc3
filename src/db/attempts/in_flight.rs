//! Who holds the slots, and whose jobs wait for one.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::ids::{AttemptId, JobId};

/// So many jobs of a tenant's line are counted.
pub const MOST_COUNTED: i64 = 10_000;

/// What a tenant has in flight and in line.
#[derive(Debug)]
pub struct TenantLoad {
    /// Its name.
    pub tenant: String,
    /// How many slots it holds.
    pub in_flight: i64,
    /// How many of its jobs wait: one more than [`MOST_COUNTED`] where there are more.
    pub queued: i64,
    /// Since when the first of them has waited.
    pub oldest_queued_at: Option<DateTime<Utc>>,
}

/// Lists the tenants that have something in flight or in line, the longest line first.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_tenants(conn: &mut PgConnection) -> sqlx::Result<Vec<TenantLoad>> {
    sqlx::query_as!(
        TenantLoad,
        r#"
        WITH held AS MATERIALIZED (
            SELECT tenant_id, count(*) AS slots FROM slots WHERE tenant_id IS NOT NULL GROUP BY tenant_id
        )
        SELECT t.name AS tenant, coalesce(held.slots, 0) AS "in_flight!", line.jobs AS "queued!", line.oldest_queued_at
        FROM tenants t
        LEFT JOIN held ON held.tenant_id = t.id
        -- So many of each line are looked at, whatever waits behind.
        CROSS JOIN LATERAL (
            SELECT count(*) AS jobs, min(queued_at) AS oldest_queued_at
            FROM (SELECT j.queued_at FROM jobs j
                  WHERE j.status = 'queued' AND j.tenant_id = t.id
                  ORDER BY j.queued_at, j.id LIMIT $1::bigint + 1) few
        ) line
        WHERE held.slots > 0 OR line.jobs > 0
        ORDER BY line.jobs DESC, coalesce(held.slots, 0) DESC, t.name
        "#,
        MOST_COUNTED,
    )
    .fetch_all(conn)
    .await
}

/// An attempt that holds a slot.
#[derive(Debug)]
pub struct HeldSlot {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its job.
    pub job_id: JobId,
    /// Whose that is.
    pub tenant: String,
    /// Since when it holds the slot.
    pub taken_at: DateTime<Utc>,
    /// When the slot is given back at the latest.
    pub deadline_at: DateTime<Utc>,
    /// The attempt's state.
    pub state: String,
    /// The job's status.
    pub job_status: String,
}

/// Lists the attempts that hold slots, longest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_held_slots(conn: &mut PgConnection) -> sqlx::Result<Vec<HeldSlot>> {
    sqlx::query_as!(
        HeldSlot,
        r#"
        SELECT a.id AS attempt_id, a.job_id, t.name AS tenant, s.taken_at AS "taken_at!", s.deadline_at AS "deadline_at!",
               a.state, j.status AS job_status
        FROM slots s
        CROSS JOIN LATERAL (SELECT name FROM tenants WHERE id = s.tenant_id OFFSET 0) t
        CROSS JOIN LATERAL (SELECT id, job_id, state FROM attempts WHERE id = s.attempt_id OFFSET 0) a
        CROSS JOIN LATERAL (SELECT status FROM jobs WHERE id = a.job_id OFFSET 0) j
        WHERE s.attempt_id IS NOT NULL
        ORDER BY s.taken_at, s.number
        "#
    )
    .fetch_all(conn)
    .await
}
