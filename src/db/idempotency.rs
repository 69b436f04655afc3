//! Idempotency keys: reserved before anything is streamed, completed in the commit that makes the job or the batch.
//!
//! A key without a fingerprint is a reservation.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{
    idempotency::{Fingerprint, IdempotencyKey, Made},
    ids::TenantId,
};

pub mod repeats;

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
    /// A request with this key has made something.
    Completed {
        /// What.
        made: Made,
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
        WHERE k.fingerprint IS NULL
          -- Or it was reserved by a clock that has gone back since.
          AND (k.reserved_until <= gateway_now() OR k.reserved_until > gateway_now() + make_interval(secs => $4, mins => 1))
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
        SELECT fingerprint, job_id, batch_id,
               greatest(extract(epoch FROM reserved_until - gateway_now()), 1)::float8 AS "remaining_seconds!"
        FROM idempotency_keys WHERE tenant_id = $1 AND key = $2
        "#,
        tenant_id.0,
        key.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(match row {
        Some(row) => {
            let job = row.job_id.map(|id| Made::Job(id.into()));
            let made = job.or(row.batch_id.map(|id| Made::Batch(id.into())));
            match (made, row.fingerprint) {
                (Some(made), Some(fingerprint)) => Reservation::Completed { made, fingerprint },
                _ => Reservation::InProgress {
                    retry_after: Duration::from_secs_f64(row.remaining_seconds),
                },
            }
        }
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
        WHERE tenant_id = $1 AND key = $2 AND reserved_by = $3 AND fingerprint IS NULL
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

/// Ties the key to what its request makes, for `counts_for`. `false`: the reservation was lost, and nothing must be made.
///
/// # Errors
/// Where the database does not answer.
pub async fn complete(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    key: &IdempotencyKey,
    holder: Uuid,
    fingerprint: Fingerprint,
    made: Made,
    counts_for: Duration,
) -> sqlx::Result<bool> {
    let (job_id, batch_id) = match made {
        Made::Job(id) => (Some(id.0), None),
        Made::Batch(id) => (None, Some(id.0)),
    };
    sqlx::query!(
        "
        UPDATE idempotency_keys
        SET fingerprint = $4, job_id = $5, batch_id = $6, reserved_until = gateway_now() + make_interval(secs => $7)
        WHERE tenant_id = $1 AND key = $2 AND reserved_by = $3 AND fingerprint IS NULL
        ",
        tenant_id.0,
        key.as_str(),
        holder,
        fingerprint.as_bytes(),
        job_id,
        batch_id,
        counts_for.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Gives a key back after a request that made nothing.
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
        "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND key = $2 AND reserved_by = $3 AND fingerprint IS NULL",
        tenant_id.0,
        key.as_str(),
        holder,
    )
    .execute(conn)
    .await
    .map(|_| ())
}
