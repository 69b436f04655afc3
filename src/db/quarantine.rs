//! Callbacks that were kept without being carried out.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::ids::{AttemptId, CallbackId, JobId};

/// A quarantined callback as operators see it.
#[derive(Debug)]
pub struct QuarantinedCallback {
    /// Its id.
    pub id: CallbackId,
    /// The job that it is about.
    pub job_id: JobId,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// Why it was not carried out.
    pub reason: String,
    /// Its size.
    pub body_bytes: i64,
}

/// Lists quarantined callbacks, oldest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<QuarantinedCallback>> {
    sqlx::query_as!(
        QuarantinedCallback,
        r#"
        SELECT c.id, a.job_id, c.received_at, coalesce(c.reason, '') AS "reason!", c.body_bytes
        FROM callbacks c JOIN attempts a ON a.id = c.attempt_id
        WHERE c.outcome = 'quarantined'
        ORDER BY c.received_at, c.id
        "#
    )
    .fetch_all(conn)
    .await
}

/// Counts them.
///
/// # Errors
/// Where the database does not answer.
pub async fn count(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query!(r#"SELECT count(*) AS "count!" FROM callbacks WHERE outcome = 'quarantined'"#)
        .fetch_one(conn)
        .await
        .map(|row| row.count)
}

/// A quarantined callback as it came.
#[derive(Debug)]
pub struct KeptCallback {
    /// The attempt that its URL named.
    pub attempt_id: AttemptId,
    /// POST or PUT.
    pub method: String,
    /// The body, compressed with zstd.
    pub compressed_body: Vec<u8>,
}

/// Finds a quarantined callback. `None` where there is none of this id, or no longer one.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(conn: &mut PgConnection, id: CallbackId) -> sqlx::Result<Option<KeptCallback>> {
    sqlx::query_as!(
        KeptCallback,
        r#"
        SELECT attempt_id, method, body AS "compressed_body!" FROM callbacks
        WHERE id = $1 AND outcome = 'quarantined' AND body IS NOT NULL
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await
}
