//! Callbacks that were kept without being carried out.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use super::{CallbackOutcome, ReceivedCallback, insert};
use crate::domain::{
    completion::Verdict,
    cursor::Cursor,
    ids::{AttemptId, CallbackId, JobId},
};

/// Keeps a callback that could not be carried out, and changes nothing else.
///
/// # Errors
/// Where the database does not answer.
pub async fn keep(
    conn: &mut PgConnection,
    callback: &ReceivedCallback<'_>,
    reason: &'static str,
) -> sqlx::Result<CallbackOutcome> {
    let mut tx = conn.begin().await?;
    let job = sqlx::query!(
        "
        SELECT discard FROM jobs
        WHERE id = (SELECT job_id FROM attempts WHERE id = $1)
        FOR UPDATE
        ",
        callback.attempt_id.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(job) = job else {
        return Ok(CallbackOutcome::UnknownAttempt);
    };
    let (outcome, verdict) = if job.discard {
        (CallbackOutcome::Discarded, Verdict::Discard)
    } else {
        (CallbackOutcome::Quarantined, Verdict::Quarantine(reason))
    };
    if !insert(&mut tx, callback, outcome, verdict).await? {
        return Ok(CallbackOutcome::Duplicate);
    }
    tx.commit().await?;
    Ok(outcome)
}

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

/// Lists quarantined callbacks, oldest first: those that can be tried again. What was erased with its job cannot, and what was
/// dismissed need not be.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<QuarantinedCallback>> {
    sqlx::query_as!(
        QuarantinedCallback,
        r#"
        SELECT c.id, a.job_id, c.received_at, coalesce(c.reason, '') AS "reason!", c.body_bytes
        FROM callbacks c CROSS JOIN LATERAL (SELECT job_id FROM attempts WHERE id = c.attempt_id OFFSET 0) a
        WHERE c.outcome = 'quarantined' AND c.body IS NOT NULL AND c.dismissed_at IS NULL
        ORDER BY c.received_at, c.id
        "#
    )
    .fetch_all(conn)
    .await
}

/// A callback that was not carried out, as operators see it.
#[derive(Debug)]
pub struct KeptApart {
    /// Its id.
    pub id: CallbackId,
    /// The job that it is about.
    pub job_id: JobId,
    /// The attempt that its URL named.
    pub attempt_id: AttemptId,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// `quarantined`, `too_large` or `unproven`.
    pub outcome: String,
    /// Why.
    pub reason: Option<String>,
    /// Its size.
    pub body_bytes: i64,
}

/// Lists callbacks that were quarantined, too large to be read, or not proven yet, oldest first. Not those of which the body was
/// erased with its job, nor those that were dismissed.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_page(
    conn: &mut PgConnection,
    after: Option<Cursor<CallbackId>>,
    limit: i64,
) -> sqlx::Result<Vec<KeptApart>> {
    sqlx::query_as!(
        KeptApart,
        "
        SELECT c.id, a.job_id, c.attempt_id, c.received_at, c.outcome, c.reason, c.body_bytes
        FROM callbacks c CROSS JOIN LATERAL (SELECT job_id FROM attempts WHERE id = c.attempt_id OFFSET 0) a
        WHERE c.outcome IN ('quarantined', 'too_large', 'unproven')
          AND (c.body IS NOT NULL OR c.outcome = 'too_large') AND c.dismissed_at IS NULL
          AND ($1::timestamptz IS NULL OR (c.received_at, c.id) > ($1, $2::uuid))
        ORDER BY c.received_at, c.id
        LIMIT $3
        ",
        after.map(|cursor| cursor.created_at),
        after.map(|cursor| cursor.id.0),
        limit,
    )
    .fetch_all(conn)
    .await
}

/// A callback that can be tried again, as it came.
#[derive(Debug)]
pub struct KeptCallback {
    /// The attempt that its URL named.
    pub attempt_id: AttemptId,
    /// `POST` or `PUT` where Gladia delivered it, `GET` where it was fetched.
    pub method: String,
    /// The body, compressed with zstd.
    pub compressed_body: Vec<u8>,
}

/// Finds a callback that was quarantined, or not proven yet, dismissed or not. `None` where there is none of this id, or no
/// longer one.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(conn: &mut PgConnection, id: CallbackId) -> sqlx::Result<Option<KeptCallback>> {
    sqlx::query_as!(
        KeptCallback,
        r#"
        SELECT attempt_id, method, body AS "compressed_body!" FROM callbacks
        WHERE id = $1 AND outcome IN ('quarantined', 'unproven') AND body IS NOT NULL
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await
}

/// Ends that a callback is listed and counted as one that waits for somebody. It stays as it came for as long as its job's content
/// does, and can be tried again all the same. Doing it twice is the same as once. Returns the job that it is about; `None`
/// where there is none of this id, or no longer one.
///
/// # Errors
/// Where the database does not answer.
pub async fn dismiss(conn: &mut PgConnection, id: CallbackId) -> sqlx::Result<Option<JobId>> {
    let dismissed = sqlx::query!(
        r#"
        UPDATE callbacks SET dismissed_at = coalesce(dismissed_at, gateway_now())
        -- What waits for its proof may still become one that somebody has to look at.
        WHERE id = $1 AND outcome IN ('quarantined', 'too_large') AND (body IS NOT NULL OR outcome = 'too_large')
        RETURNING (SELECT job_id FROM attempts WHERE id = callbacks.attempt_id) AS "job_id!"
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(dismissed.map(|row| row.job_id.into()))
}
