//! Creates that may come a second time, though they carry no key: rows of `idempotency_keys` under a key of the gateway's own.
//!
//! Such a row is a reservation first, like any other. Completed, it counts until `reserved_until`, and `answered_at` says
//! when the answer had left. Each statement names the holder, so that nobody writes about a row that was taken over.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{
    idempotency::IdempotencyKey,
    ids::{JobId, TenantId},
    repeats::First,
};

/// Which row.
#[derive(Debug, Clone)]
pub struct Row {
    /// Whose.
    pub tenant_id: TenantId,
    /// Its key.
    pub key: IdempotencyKey,
    /// The request that holds it.
    pub holder: Uuid,
}

/// A create that has made its job.
#[derive(Debug, Clone, Copy)]
pub struct Completed {
    /// The job.
    pub job_id: JobId,
    /// The request that made it.
    pub holder: Uuid,
    /// What is known of its answer.
    pub first: First,
}

/// Finds the create of a key, if it has made its job.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    key: &IdempotencyKey,
) -> sqlx::Result<Option<Completed>> {
    let row = sqlx::query!(
        r#"
        SELECT job_id AS "job_id!", reserved_by, reserved_until, answered_at FROM idempotency_keys
        WHERE tenant_id = $1 AND key = $2 AND job_id IS NOT NULL
        "#,
        tenant_id.0,
        key.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Completed {
        job_id: row.job_id.into(),
        holder: row.reserved_by,
        first: First {
            counts_until: row.reserved_until,
            answered_at: row.answered_at,
        },
    }))
}

/// Reserves the key of a create that does not count any more. `false` where another was faster.
///
/// # Errors
/// Where the database does not answer.
pub async fn take_over(
    conn: &mut PgConnection,
    old: &Row,
    holder: Uuid,
    lease: Duration,
) -> sqlx::Result<bool> {
    sqlx::query!(
        "
        UPDATE idempotency_keys
        SET reserved_by = $4, reserved_until = gateway_now() + make_interval(secs => $5),
            fingerprint = NULL, job_id = NULL, answered_at = NULL
        WHERE tenant_id = $1 AND key = $2 AND reserved_by = $3 AND fingerprint IS NOT NULL
        ",
        old.tenant_id.0,
        old.key.as_str(),
        old.holder,
        holder,
        lease.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// What an answer's connection told.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// How long a create counts, counted from the statement that completed it.
    pub counts_for: Duration,
    /// How long after its commit its answer left.
    pub left_after: Duration,
    /// Whether its caller went on with it, so that nothing that comes later is its second.
    pub is_received: bool,
}

/// Notes that the answer left. Its instant is counted from the commit's, so it is never later than the true one, however long
/// this statement was under way: what comes after the answer is not taken for something that came before it.
///
/// # Errors
/// Where the database does not answer.
pub async fn answered(conn: &mut PgConnection, row: &Row, told: Told) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE idempotency_keys k
        SET answered_at = left_at, reserved_until = CASE WHEN $6 THEN left_at ELSE reserved_until END
        FROM (
            SELECT coalesce(answered_at, reserved_until - make_interval(secs => $4) + make_interval(secs => $5)) AS left_at
            FROM idempotency_keys WHERE tenant_id = $1 AND key = $2
        ) l
        WHERE k.tenant_id = $1 AND k.key = $2 AND k.reserved_by = $3 AND k.fingerprint IS NOT NULL
        ",
        row.tenant_id.0,
        row.key.as_str(),
        row.holder,
        told.counts_for.as_secs_f64(),
        told.left_after.as_secs_f64(),
        told.is_received,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Notes that the answer got lost after all.
///
/// # Errors
/// Where the database does not answer.
pub async fn lost(conn: &mut PgConnection, row: &Row) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE idempotency_keys SET answered_at = NULL
        WHERE tenant_id = $1 AND key = $2 AND reserved_by = $3 AND fingerprint IS NOT NULL
        ",
        row.tenant_id.0,
        row.key.as_str(),
        row.holder,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Forgets a create that nothing can be the second of any more.
///
/// # Errors
/// Where the database does not answer.
pub async fn forget(conn: &mut PgConnection, row: &Row) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND key = $2 AND reserved_by = $3 AND fingerprint IS NOT NULL",
        row.tenant_id.0,
        row.key.as_str(),
        row.holder,
    )
    .execute(conn)
    .await
    .map(|_| ())
}
