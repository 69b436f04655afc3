//! Idempotency keys: reserved before anything is streamed, completed in the commit that makes the job.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{
    idempotency::{Fingerprint, IdempotencyKey},
    ids::{JobId, TenantId},
};

/// What a key stands for at the moment.
#[derive(Debug, PartialEq, Eq)]
pub enum Reservation {
    /// Ours: the request goes on.
    Reserved,
    /// Another request with this key is under way.
    InProgress {
        /// When it is taken for dead at the latest.
        retry_after: Duration,
    },
    /// A request with this key has made a job.
    Completed {
        /// The job.
        job_id: JobId,
        /// Of that request.
        fingerprint: Vec<u8>,
    },
}

/// Reserves a key, or takes over a reservation whose holder went silent.
///
/// # Errors
/// Where the database does not answer.
pub async fn reserve(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    key: &IdempotencyKey,
    holder: Uuid,
    lease: Duration,
) -> sqlx::Result<Reservation> {
    let taken = sqlx::query!(
        "
        INSERT INTO idempotency_keys AS k (tenant_id, key, reserved_by, reserved_until)
        VALUES ($1, $2, $3, gateway_now() + make_interval(secs => $4))
        ON CONFLICT (tenant_id, key) DO UPDATE
        SET reserved_by = excluded.reserved_by, reserved_until = excluded.reserved_until
        WHERE k.job_id IS NULL AND k.reserved_until <= gateway_now()
        ",
        tenant_id.0,
        key.as_str(),
        holder,
        lease.as_secs_f64(),
    )
    .execute(&mut *conn)
    .await?;
    if taken.rows_affected() == 1 {
        return Ok(Reservation::Reserved);
    }
    let row = sqlx::query!(
        r#"
        SELECT fingerprint, job_id,
               greatest(extract(epoch FROM reserved_until - gateway_now()), 1)::float8 AS "remaining_seconds!"
        FROM idempotency_keys WHERE tenant_id = $1 AND key = $2
        "#,
        tenant_id.0,
        key.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(match row {
        Some(row) => match (row.job_id, row.fingerprint) {
            (Some(job_id), Some(fingerprint)) => Reservation::Completed {
                job_id: job_id.into(),
                fingerprint,
            },
            _ => Reservation::InProgress {
                retry_after: Duration::from_secs_f64(row.remaining_seconds),
            },
        },
        // Released between the two statements: the caller comes back at once.
        None => Reservation::InProgress {
            retry_after: Duration::from_secs(1),
        },
    })
}

/// Keeps a reservation alive while a file streams.
///
/// # Errors
/// Where the database does not answer.
pub async fn renew(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    key: &IdempotencyKey,
    holder: Uuid,
    lease: Duration,
) -> sqlx::Result<bool> {
    sqlx::query!(
        "
        UPDATE idempotency_keys SET reserved_until = gateway_now() + make_interval(secs => $4)
        WHERE tenant_id = $1 AND key = $2 AND reserved_by = $3 AND job_id IS NULL
        ",
        tenant_id.0,
        key.as_str(),
        holder,
        lease.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Ties the key to the job. Zero rows, and `false`, where the reservation was lost meanwhile: the job must not be made.
///
/// # Errors
/// Where the database does not answer.
pub async fn complete(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    key: &IdempotencyKey,
    holder: Uuid,
    fingerprint: Fingerprint,
    job_id: JobId,
) -> sqlx::Result<bool> {
    sqlx::query!(
        "
        UPDATE idempotency_keys SET fingerprint = $4, job_id = $5
        WHERE tenant_id = $1 AND key = $2 AND reserved_by = $3 AND job_id IS NULL
        ",
        tenant_id.0,
        key.as_str(),
        holder,
        fingerprint.as_bytes(),
        job_id.0,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Gives a key back after a request that made no job.
///
/// # Errors
/// Where the database does not answer.
pub async fn release(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    key: &IdempotencyKey,
    holder: Uuid,
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND key = $2 AND reserved_by = $3 AND job_id IS NULL",
        tenant_id.0,
        key.as_str(),
        holder,
    )
    .execute(conn)
    .await
    .map(|_| ())
}
