//! Account webhooks: each message once, and what came of it.

use std::time::Duration;

use sqlx::PgConnection;

use crate::domain::{
    ids::AttemptId,
    webhook::{WebhookEvent, WebhookOutcome},
};

/// How long messages are remembered. Svix repeats one for about a day and never takes a new id for it.
const KEPT_FOR: Duration = Duration::from_hours(7 * 24);

/// How many are purged in one statement, so that it never holds many locks.
const PURGED_AT_ONCE: i64 = 500;

/// Keeps a message for `delay` before it is handled. `false` where it is here already.
///
/// # Errors
/// Where the database does not answer.
pub async fn insert(
    conn: &mut PgConnection,
    id: &str,
    event: WebhookEvent,
    gladia_id: &str,
    delay: Duration,
) -> sqlx::Result<bool> {
    sqlx::query!(
        "
        INSERT INTO webhook_messages (id, event, gladia_id, next_try_at)
        VALUES ($1, $2, $3, gateway_now() + make_interval(secs => $4))
        ON CONFLICT (id) DO NOTHING
        ",
        id,
        event.as_str(),
        gladia_id,
        delay.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// A message that is due.
#[derive(Debug, Clone)]
pub struct DueMessage {
    /// Svix's id.
    pub id: String,
    /// What happened.
    pub event: WebhookEvent,
    /// To which of Gladia's jobs.
    pub gladia_id: String,
    /// How often it was tried before.
    pub tries: u32,
}

/// Claims messages that are due, and holds them for a while.
///
/// # Errors
/// Where the database does not answer.
pub async fn claim(
    conn: &mut PgConnection,
    hold_for: Duration,
    limit: i64,
) -> sqlx::Result<Vec<DueMessage>> {
    let rows = sqlx::query!(
        r#"
        WITH due AS MATERIALIZED (
            SELECT id FROM webhook_messages
            WHERE finished_at IS NULL AND next_try_at <= gateway_now()
            ORDER BY next_try_at LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        UPDATE webhook_messages m SET next_try_at = gateway_now() + make_interval(secs => $1)
        FROM due WHERE m.id = due.id
        RETURNING m.id AS "id!", event AS "event!", gladia_id AS "gladia_id!", tries AS "tries!"
        "#,
        hold_for.as_secs_f64(),
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(DueMessage {
                id: row.id,
                // One that only a newer version knows waits for that, and does not hold up the others.
                event: row.event.parse().ok()?,
                gladia_id: row.gladia_id,
                tries: u32::try_from(row.tries).unwrap_or_default(),
            })
        })
        .collect())
}

/// Holds a message that takes longer.
///
/// # Errors
/// Where the database does not answer.
pub async fn renew(conn: &mut PgConnection, id: &str, hold_for: Duration) -> sqlx::Result<()> {
    postpone(conn, id, 0, hold_for).await
}

/// Tries a message again later. `failures` more are counted.
///
/// # Errors
/// Where the database does not answer.
pub async fn postpone(
    conn: &mut PgConnection,
    id: &str,
    failures: i32,
    delay: Duration,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE webhook_messages
        SET tries = tries + $2, next_try_at = gateway_now() + make_interval(secs => $3)
        -- In words that no index answers to, since it would be walked through where few were due.
        WHERE id = $1 AND coalesce(finished_at, 'infinity') = 'infinity'
        ",
        id,
        failures,
        delay.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Notes what came of a message.
///
/// # Errors
/// Where the database does not answer.
pub async fn finish(
    conn: &mut PgConnection,
    id: &str,
    outcome: WebhookOutcome,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE webhook_messages SET outcome = $2, tries = tries + 1, finished_at = gateway_now()
        -- In words that no index answers to, since it would be walked through where few were due.
        WHERE id = $1 AND coalesce(finished_at, 'infinity') = 'infinity'
        ",
        id,
        outcome.as_str(),
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// An attempt, as far as a message about its job needs to know it.
#[derive(Debug, Clone, Copy)]
pub struct KnownAttempt {
    /// Its id.
    pub id: AttemptId,
    /// Whether Gladia's own word on how it ended is here.
    pub has_ended: bool,
}

/// Finds the attempt that answers for a job of Gladia's.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_attempt(
    conn: &mut PgConnection,
    gladia_id: &str,
) -> sqlx::Result<Option<KnownAttempt>> {
    sqlx::query_as!(
        KnownAttempt,
        r#"
        SELECT id, state IN ('done', 'error') AS "has_ended!" FROM attempts WHERE gladia_id = $1
        "#,
        gladia_id,
    )
    .fetch_optional(conn)
    .await
}

/// Forgets messages that are old enough. Returns how many.
///
/// # Errors
/// Where the database does not answer.
pub async fn forget(conn: &mut PgConnection) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        -- As an array, so that no plan reads the whole table to find them, however many it expects.
        DELETE FROM webhook_messages WHERE id = ANY (ARRAY(
            SELECT id FROM webhook_messages
            -- As a value, so that the index ends the walk.
            WHERE received_at <= (SELECT gateway_now() - make_interval(secs => $1))
            ORDER BY received_at LIMIT $2
            FOR UPDATE SKIP LOCKED
        ))
        ",
        KEPT_FOR.as_secs_f64(),
        PURGED_AT_ONCE,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}
