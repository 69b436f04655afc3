//! Callbacks that are larger than what is read: noted, and their results asked for.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use super::{
    adoption::{FoundBy, adopt_locked},
    attempts::lock,
    callbacks::CallbackOutcome,
};
use crate::domain::ids::{AttemptId, CallbackId};

/// A verified callback of which only the beginning was read.
#[derive(Debug)]
pub struct OversizedCallback<'a> {
    /// Our id of it.
    pub id: CallbackId,
    /// The attempt that its URL names.
    pub attempt_id: AttemptId,
    /// POST or PUT.
    pub method: &'a str,
    /// When it came, if that was before now.
    pub received_at: Option<DateTime<Utc>>,
    /// Gladia's id of the job, where it stood in what was read.
    pub gladia_id: Option<&'a str>,
    /// How much was read.
    pub seen_bytes: i64,
    /// SHA-256 of that.
    pub seen_sha256: [u8; 32],
}

/// Notes such a callback, and has Gladia asked for the result in the same commit.
///
/// # Errors
/// Where the database does not answer. Nothing is changed then.
pub async fn note(
    conn: &mut PgConnection,
    callback: &OversizedCallback<'_>,
) -> sqlx::Result<CallbackOutcome> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock(&mut tx, callback.attempt_id).await? else {
        return Ok(CallbackOutcome::UnknownAttempt);
    };
    let inserted = sqlx::query!(
        "
        INSERT INTO callbacks (id, attempt_id, received_at, method, outcome, gladia_id, body_bytes, body_sha256)
        VALUES ($1, $2, least(coalesce($3, gateway_now()), gateway_now()), $4, 'too_large', $5, $6, $7)
        ON CONFLICT ON CONSTRAINT callbacks_once DO NOTHING
        ",
        callback.id.0,
        callback.attempt_id.0,
        callback.received_at,
        callback.method,
        callback.gladia_id,
        callback.seen_bytes,
        &callback.seen_sha256[..],
    )
    .execute(&mut *tx)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(CallbackOutcome::Duplicate);
    }
    match (&locked.gladia_id, callback.gladia_id) {
        (None, Some(gladia_id)) => {
            adopt_locked(
                &mut tx,
                callback.attempt_id,
                &locked,
                gladia_id,
                FoundBy::Callback,
            )
            .await?;
        }
        // Another job's callback says nothing of this attempt's. It stays as a row for people.
        (Some(known), Some(named)) if known != named => {}
        _ => ask_at_once(&mut tx, callback.attempt_id).await?,
    }
    tx.commit().await?;
    Ok(CallbackOutcome::TooLarge)
}

/// Has Gladia asked, unless the result is here. Without Gladia's id there is nothing to ask for yet.
async fn ask_at_once(conn: &mut PgConnection, id: AttemptId) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE attempts SET next_look_at = gateway_now()
        WHERE id = $1 AND gladia_id IS NOT NULL AND state <> 'done'
        ",
        id.0,
    )
    .execute(conn)
    .await
    .map(|_| ())
}
