//! Gladia's copies that are to be deleted. A row stays as the receipt.
//!
//! They are asked for in the commit that erases a job, and carried out later by whichever process claims them. A claim
//! only moves the time of the next try: a process that dies after it has cost one interval.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::{
    attempts::{Locked, expire, lock},
    dispatch,
};
use crate::domain::{
    expected::{ABSENT_FOR, is_lost},
    ids::{AttemptId, JobId},
    words::words,
};

mod claim;
pub mod surplus;

pub use self::claim::{DueDeletion, claim_asked, claim_of_retention};

/// After this long a refusal is the last word. Gladia is at work on a job for two hours at most.
const GIVEN_UP_AFTER: Duration = Duration::from_hours(7 * 24);

/// But not before so many tries: it may have been held back for as long.
const GIVEN_UP_AFTER_TRIES: i32 = 10;

/// Asks for the deletion of everything that Gladia is known to have of an erased job. Where the job is not erased, or its
/// erasure left Gladia's copy alone (`deletes_at_gladia`), nothing happens; so whoever learns that Gladia has one of a job's
/// attempts may call this. The caller holds the job's lock.
///
/// # Errors
/// Where the database does not answer.
pub async fn request_for_erased(conn: &mut PgConnection, job_id: JobId) -> sqlx::Result<()> {
    sqlx::query!(
        "
        INSERT INTO upstream_deletions AS d (gladia_id, job_id, reason)
        SELECT a.gladia_id, a.job_id, CASE WHEN j.erased_by = 'retention' THEN 'retention' ELSE 'deleted' END
        FROM attempts a JOIN jobs j ON j.id = a.job_id
        WHERE j.id = $1 AND j.deleted_at IS NOT NULL AND j.erased_by IS NOT NULL AND a.gladia_id IS NOT NULL
          -- A version that did not note it let a caller's deletion go on to Gladia, and the retention's where it was set so.
          AND coalesce(j.deletes_at_gladia, j.erased_by = 'request' OR EXISTS (
              SELECT FROM upstream_deletions u WHERE u.job_id = j.id AND u.reason = 'retention' OFFSET 0))
        -- A surplus is deleted all the same, for another reason from now on.
        ON CONFLICT (gladia_id) DO UPDATE
        SET reason = excluded.reason, requested_at = gateway_now(), next_try_at = gateway_now(), tries = 0
        WHERE d.finished_at IS NULL AND d.reason = 'surplus' AND excluded.reason = 'deleted'
        ",
        job_id.0,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Asks again for the deletion of what Gladia said it did not have: it has been seen there since. The caller holds the job's lock.
///
/// # Errors
/// Where the database does not answer.
pub(super) async fn reopen(conn: &mut PgConnection, gladia_id: &str) -> sqlx::Result<()> {
    let reopened = sqlx::query!(
        "
        UPDATE upstream_deletions
        SET outcome = NULL, finished_at = NULL, requested_at = gateway_now(), next_try_at = gateway_now(), tries = 0
        WHERE gladia_id = $1 AND outcome = 'already_gone'
        ",
        gladia_id,
    )
    .execute(&mut *conn)
    .await?;
    if reopened.rows_affected() == 1 {
        note_presence(conn, gladia_id).await?;
    }
    Ok(())
}

/// Takes back all deletions that came with an erasure: for an account that has zero data retention by now, which deletes nothing
/// for anybody.
///
/// # Errors
/// Where the database does not answer.
pub async fn take_back(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM upstream_deletions WHERE finished_at IS NULL AND reason IN ('deleted', 'retention')"
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// How a deletion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletionOutcome {
    /// Gladia has deleted it.
    Deleted,
    /// Gladia did not have it any more.
    AlreadyGone,
    /// Gladia refused for too long, and still has it.
    GivenUp,
}

impl DeletionOutcome {
    words! {
        /// The name in SQL, logs and metrics.
        as_str(self):
        Deleted = "deleted",
        AlreadyGone = "already_gone",
        GivenUp = "given_up",
    }
}

/// What the note of an answer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// The deletion is tried again.
    Waits,
    /// The receipt is written.
    Finished {
        /// Whether an attempt has ended with it.
        ends_attempt: bool,
    },
}

/// Writes the receipt of what Gladia has deleted.
///
/// # Errors
/// Where the database does not answer.
pub async fn note_deleted(conn: &mut PgConnection, gladia_id: &str) -> sqlx::Result<Noted> {
    let mut tx = conn.begin().await?;
    let attempt = lock_attempt(&mut tx, gladia_id).await?;
    let ends_attempt = finish(&mut tx, gladia_id, DeletionOutcome::Deleted, attempt).await?;
    tx.commit().await?;
    forget_upload(conn, gladia_id).await?;
    Ok(Noted::Finished { ends_attempt })
}

/// Notes that Gladia says it does not have what is to be deleted. That may be a replica of it that lags behind what was just
/// accepted: the receipt is written where the outcome had come long ago, or once it is [lost](is_lost), as for whoever asks for
/// the result. Else the next try is due after `next_try_in`.
///
/// # Errors
/// Where the database does not answer.
pub async fn note_absence(
    conn: &mut PgConnection,
    gladia_id: &str,
    next_try_in: Duration,
) -> sqlx::Result<Noted> {
    let mut tx = conn.begin().await?;
    let attempt = lock_attempt(&mut tx, gladia_id).await?;
    let tried = sqlx::query!(
        r#"
        UPDATE upstream_deletions SET next_try_at = gateway_now() + make_interval(secs => $2)
        WHERE gladia_id = $1 AND finished_at IS NULL
        RETURNING tries, (extract(epoch FROM gateway_now() - requested_at))::float8 AS "seconds!"
        "#,
        gladia_id,
        next_try_in.as_secs_f64(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(tried) = tried else {
        return Ok(Noted::Waits);
    };
    let is_gone = match &attempt {
        Some((id, _)) => counts_as_gone(&mut tx, *id).await?,
        // A second job of the same attempt has no row of its own to count on.
        None => is_lost(unsigned(tried.tries), seconds(tried.seconds)),
    };
    if !is_gone {
        tx.commit().await?;
        return Ok(Noted::Waits);
    }
    let outcome = DeletionOutcome::AlreadyGone;
    let ends_attempt = finish(&mut tx, gladia_id, outcome, attempt).await?;
    tx.commit().await?;
    forget_upload(conn, gladia_id).await?;
    Ok(Noted::Finished { ends_attempt })
}

/// Counts that Gladia does not have an attempt, in the row in which looks count it as well, and judges it. The caller holds its
/// lock.
async fn counts_as_gone(conn: &mut PgConnection, id: AttemptId) -> sqlx::Result<bool> {
    let attempt = sqlx::query!(
        r#"
        UPDATE attempts SET absences = absences + 1, absent_since = coalesce(absent_since, gateway_now())
        WHERE id = $1
        RETURNING absences, (extract(epoch FROM gateway_now() - absent_since))::float8 AS "absent_seconds!",
                  state IN ('done', 'error') AND finished_at <= gateway_now() - make_interval(secs => $2)
                  AND NOT EXISTS (SELECT FROM callbacks c WHERE c.attempt_id = attempts.id
                                    AND c.received_at > gateway_now() - make_interval(secs => $2) OFFSET 0)
                      AS "has_ended_long_ago!"
        "#,
        id.0,
        ABSENT_FOR.as_secs_f64(),
    )
    .fetch_one(conn)
    .await?;
    let absent_for = seconds(attempt.absent_seconds);
    Ok(attempt.has_ended_long_ago || is_lost(unsigned(attempt.absences), absent_for))
}

fn unsigned(count: i32) -> u32 {
    u32::try_from(count).unwrap_or_default()
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Has what Gladia said it did not have count no more, since it has shown that it does.
async fn note_presence(conn: &mut PgConnection, gladia_id: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE attempts SET absences = 0, absent_since = NULL WHERE gladia_id = $1 AND absences > 0",
        gladia_id,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Locks the attempt that made a job of Gladia's, where one is known to have, and its job.
async fn lock_attempt(
    conn: &mut PgConnection,
    gladia_id: &str,
) -> sqlx::Result<Option<(AttemptId, Locked)>> {
    let made_by = sqlx::query!("SELECT id FROM attempts WHERE gladia_id = $1", gladia_id)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(made_by) = made_by else {
        return Ok(None);
    };
    let id = made_by.id.into();
    Ok(lock(conn, id).await?.map(|locked| (id, locked)))
}

/// Writes the receipt, and ends the attempt where its outcome is still waited for: there is none to come, and its slot is free.
/// Whether that was so. A job whose copies are deleted has ended before.
async fn finish(
    conn: &mut PgConnection,
    gladia_id: &str,
    outcome: DeletionOutcome,
    attempt: Option<(AttemptId, Locked)>,
) -> sqlx::Result<bool> {
    sqlx::query!(
        "
        UPDATE upstream_deletions SET outcome = $2, finished_at = gateway_now()
        WHERE gladia_id = $1 AND finished_at IS NULL
        ",
        gladia_id,
        outcome.as_str(),
    )
    .execute(&mut *conn)
    .await?;
    let Some((id, locked)) = attempt else {
        return Ok(false);
    };
    let ends = locked.state.is_open() && locked.job_status.is_terminal();
    if ends {
        expire(conn, id).await?;
        dispatch::free_slot(conn, id).await?;
    }
    Ok(ends)
}

/// Gives a deletion up that Gladia has refused, where it was asked for long ago and tried often. `false` where it is tried again.
///
/// # Errors
/// Where the database does not answer.
pub async fn give_up_if_old(conn: &mut PgConnection, gladia_id: &str) -> sqlx::Result<bool> {
    let given_up = sqlx::query!(
        "
        UPDATE upstream_deletions SET outcome = $4, finished_at = gateway_now()
        WHERE gladia_id = $1 AND finished_at IS NULL AND requested_at <= gateway_now() - make_interval(secs => $2)
          AND tries >= $3
        ",
        gladia_id,
        GIVEN_UP_AFTER.as_secs_f64(),
        GIVEN_UP_AFTER_TRIES,
        DeletionOutcome::GivenUp.as_str(),
    )
    .execute(&mut *conn)
    .await?;
    let is_given_up = given_up.rows_affected() == 1;
    if is_given_up {
        forget_upload(conn, gladia_id).await?;
    }
    Ok(is_given_up)
}

/// Forgets which file an erased job has used, once nothing more of it is to be deleted at Gladia. After the commit of the receipt,
/// so that of several at once the last one sees them all.
async fn forget_upload(conn: &mut PgConnection, gladia_id: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE jobs SET erased_upload_id = NULL
        WHERE id = (SELECT job_id FROM upstream_deletions WHERE gladia_id = $1) AND erased_upload_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM upstream_deletions d WHERE d.job_id = jobs.id AND d.finished_at IS NULL OFFSET 0)
          -- One whose outcome is still open may turn out to be there as well.
          AND NOT EXISTS (SELECT FROM attempts a WHERE a.job_id = jobs.id AND a.finished_at IS NULL OFFSET 0)
        ",
        gladia_id,
    )
    .execute(conn)
    .await
    .map(|_| ())
}
