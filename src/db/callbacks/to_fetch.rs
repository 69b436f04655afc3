//! Callbacks whose result is asked for: larger than what is read, or not to be believed without a second proof.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::CallbackOutcome;
use crate::{
    db::{
        attempts::{
            Locked,
            adoption::{FoundBy, adopt_locked, is_taken},
            lock,
        },
        upstream_deletions::surplus,
    },
    domain::{
        ids::{AttemptId, CallbackId},
        job::JobStatus,
    },
};

/// A verified callback whose result is to be asked for.
#[derive(Debug)]
pub struct CallbackToFetch<'a> {
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
    /// The whole body, compressed, where it is kept until it is proven.
    pub compressed_body: Option<&'a [u8]>,
}

/// Notes a callback of which only the beginning was read, and has Gladia asked for the result in the same commit.
///
/// # Errors
/// Where the database does not answer. Nothing is changed then.
pub async fn note_too_large(
    conn: &mut PgConnection,
    callback: &CallbackToFetch<'_>,
) -> sqlx::Result<CallbackOutcome> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock(&mut tx, callback.attempt_id).await? else {
        return Ok(CallbackOutcome::UnknownAttempt);
    };
    note(tx, callback, &locked, CallbackOutcome::TooLarge).await
}

/// Notes a success whose address alone is not proof enough, and has Gladia asked for it in the same commit. `None` where it
/// would complete nothing anyway: its job is done, canceled or erased, or it names a job of Gladia's that is not the attempt's.
///
/// # Errors
/// Where the database does not answer. Nothing is changed then.
pub async fn note_unproven(
    conn: &mut PgConnection,
    callback: &CallbackToFetch<'_>,
) -> sqlx::Result<Option<CallbackOutcome>> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock(&mut tx, callback.attempt_id).await? else {
        return Ok(Some(CallbackOutcome::UnknownAttempt));
    };
    if !would_complete(&mut tx, callback, &locked).await? {
        return Ok(None);
    }
    note(tx, callback, &locked, CallbackOutcome::Unproven)
        .await
        .map(Some)
}

async fn note(
    mut tx: Transaction<'_, Postgres>,
    callback: &CallbackToFetch<'_>,
    locked: &Locked,
    outcome: CallbackOutcome,
) -> sqlx::Result<CallbackOutcome> {
    let inserted = sqlx::query!(
        "
        INSERT INTO callbacks (id, attempt_id, received_at, method, outcome, gladia_id, body, body_bytes, body_sha256)
        VALUES ($1, $2, least(coalesce($3, gateway_now()), gateway_now()), $4, $5, $6, $7, $8, $9)
        ON CONFLICT ON CONSTRAINT callbacks_once DO NOTHING
        ",
        callback.id.0,
        callback.attempt_id.0,
        callback.received_at,
        callback.method,
        outcome.as_str(),
        callback.gladia_id,
        callback.compressed_body,
        callback.seen_bytes,
        &callback.seen_sha256[..],
    )
    .execute(&mut *tx)
    .await?;
    if inserted.rows_affected() == 0 {
        ask_for_what_waits(&mut tx, callback).await?;
        tx.commit().await?;
        return Ok(CallbackOutcome::Duplicate);
    }
    let mut surplus = surplus::NewSurplus::default();
    match (&locked.gladia_id, callback.gladia_id) {
        (None, Some(gladia_id)) => {
            (_, surplus) = adopt_locked(
                &mut tx,
                callback.attempt_id,
                locked,
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
    surplus.tell(locked.job_id);
    Ok(outcome)
}

/// Has Gladia asked, unless the result is here. Without Gladia's id there is nothing to ask for yet.
pub(super) async fn ask_at_once(conn: &mut PgConnection, id: AttemptId) -> sqlx::Result<()> {
    sqlx::query!(
        "
        -- Gladia has it: where it said otherwise before, that counts no more.
        UPDATE attempts SET next_look_at = gateway_now(), absences = 0, absent_since = NULL
        WHERE id = $1 AND gladia_id IS NOT NULL AND state <> 'done'
        ",
        id.0,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Has Gladia asked where a success that comes again still waits for its proof, and nobody asks for that.
async fn ask_for_what_waits(
    conn: &mut PgConnection,
    callback: &CallbackToFetch<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE attempts SET next_look_at = gateway_now()
        WHERE id = $1 AND gladia_id IS NOT NULL AND state <> 'done' AND coalesce(next_look_at, '-infinity') = '-infinity'
          AND EXISTS (SELECT FROM callbacks
                      WHERE attempt_id = $1 AND body_sha256 = $2 AND coalesce(outcome, '') = 'unproven')
        ",
        callback.attempt_id.0,
        &callback.seen_sha256[..],
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Whether a success would complete the job, if it is true.
async fn would_complete(
    conn: &mut PgConnection,
    callback: &CallbackToFetch<'_>,
    locked: &Locked,
) -> sqlx::Result<bool> {
    let job = sqlx::query!("SELECT discard FROM jobs WHERE id = $1", locked.job_id.0)
        .fetch_one(&mut *conn)
        .await?;
    if job.discard || matches!(locked.job_status, JobStatus::Done | JobStatus::Canceled) {
        return Ok(false);
    }
    match (&locked.gladia_id, callback.gladia_id) {
        // What contradicts an operator alone would complete it; nobody can be asked for a proof, so it stays for people to see.
        (Some(known), Some(named)) if known != named => {
            is_said_by_operator(conn, callback.attempt_id).await
        }
        (None, Some(named)) => Ok(!is_taken(conn, named).await?),
        (Some(_), _) | (None, None) => Ok(true),
    }
}

async fn is_said_by_operator(conn: &mut PgConnection, id: AttemptId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT coalesce(settled_by = 'operator', false) AND state NOT IN ('done', 'error') AS "is_said!"
        FROM attempts WHERE id = $1
        "#,
        id.0
    )
    .fetch_one(conn)
    .await
}
