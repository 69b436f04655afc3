//! Jobs that Gladia has under an id that is known, and whose callback is late: when one is looked at, and what that changes
//! where it finds no end.
//!
//! A look is claimed by moving its row's `next_look_at` ahead, and held while it lasts, so that two replicas never ask for
//! the same job. One that found an end is carried out like a callback, which clears `next_look_at`; every other one sets
//! when the next is due.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use super::{expire, expiry::in_their_time, fail_job, lock};
use crate::{
    db::{callbacks::unproven, claims::SLOT_DEADLINE, dispatch, upstream_deletions},
    domain::{
        attempt::AttemptState,
        expected::{count_features, expected_within, is_lost},
        ids::{AttemptId, JobId},
        job::JobErrorType,
        plain_json,
    },
};

/// Clocks that differ by less make no difference.
const SOON: Duration = Duration::from_secs(1);

/// How often at least an attempt that has ended is asked for, because Gladia turned out to have it.
const LOOKS_AFTER_END: i32 = 100;

/// How long at least after its end: far longer than Gladia works on a job, and longer than it is ever away. How often it is
/// asked says nothing of that, since looks may come every few seconds.
const ASKED_AFTER_END: Duration = Duration::from_hours(24);

/// An attempt that is due.
#[derive(Debug, Clone)]
pub struct DueLook {
    /// Its id.
    pub id: AttemptId,
    /// Gladia's id of its job.
    pub gladia_id: String,
    /// How often Gladia was asked before.
    pub looks: i32,
    /// For how many seconds a success has been in hand that Gladia is to confirm, if there is one.
    pub unproven_for_seconds: Option<f64>,
}

/// When a look is due.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    /// How long after its acceptance an attempt is first asked for; `None`: once it is overdue.
    pub first_look_after: Option<Duration>,
    /// How long a claim holds unless it is renewed.
    pub hold_for: Duration,
}

/// Notes by when an attempt that Gladia has accepted should have come back. The caller holds its lock.
pub(super) async fn expect(conn: &mut PgConnection, id: AttemptId) -> sqlx::Result<()> {
    let job = sqlx::query!(
        r#"
        -- The request as a whole: Postgres cannot look into one that has a NUL in a string.
        SELECT u.audio_duration_seconds AS "audio_duration_seconds?", j.request::text AS request
        FROM attempts a JOIN jobs j ON j.id = a.job_id LEFT JOIN uploads u ON u.id = j.upload_id
        WHERE a.id = $1
        "#,
        id.0,
    )
    .fetch_one(&mut *conn)
    .await?;
    // What cannot be read is at Gladia all the same.
    let request = job
        .request
        .and_then(|request| plain_json::from_str(&request).ok());
    let features = request.as_ref().map_or(0, count_features);
    let within = expected_within(job.audio_duration_seconds, features);
    sqlx::query!(
        "UPDATE attempts SET expected_by = created_at + make_interval(secs => $2) WHERE id = $1",
        id.0,
        within.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Claims looks that are due, the most overdue first.
///
/// Asked for is what Gladia accepted and has not answered, and besides what has ended here and still has a next look: an
/// older attempt that Gladia turned out to have, or one that was given up while Gladia did not answer.
///
/// # Errors
/// Where the database does not answer.
pub async fn claim(conn: &mut PgConnection, due: Due, limit: i64) -> sqlx::Result<Vec<DueLook>> {
    sqlx::query_as!(
        DueLook,
        r#"
        WITH looked_for AS MATERIALIZED (
            -- Each of the two by its own small index. That of all of Gladia's ids does not answer to these words.
            SELECT id FROM attempts WHERE finished_at IS NULL AND state = 'accepted' AND coalesce(gladia_id, '') <> ''
            UNION ALL
            (SELECT id FROM attempts
             WHERE next_look_at <= (SELECT gateway_now()) AND finished_at IS NOT NULL AND gladia_id IS NOT NULL
             ORDER BY next_look_at LIMIT $2)
        ), due AS MATERIALIZED (
            SELECT a.id FROM attempts a
            CROSS JOIN LATERAL (
                SELECT coalesce(a.next_look_at, a.answered_at + make_interval(secs => $1), a.expected_by, a.answered_at) AS at
            ) look
            WHERE a.id = ANY (ARRAY(SELECT id FROM looked_for)) AND look.at <= gateway_now()
              -- Asked again of the row that is locked.
              AND (a.finished_at IS NULL AND a.state = 'accepted' OR a.next_look_at IS NOT NULL AND a.finished_at IS NOT NULL)
            ORDER BY look.at LIMIT $2
            FOR UPDATE OF a SKIP LOCKED
        )
        UPDATE attempts SET next_look_at = gateway_now() + make_interval(secs => $3)
        FROM due WHERE attempts.id = due.id
        RETURNING attempts.id AS "id!", gladia_id AS "gladia_id!", looks,
                  (SELECT (extract(epoch FROM gateway_now() - max(c.received_at)))::float8 FROM callbacks c
                   WHERE c.attempt_id = attempts.id AND coalesce(c.outcome, '') = 'unproven') AS unproven_for_seconds
        "#,
        due.first_look_after.map(|after| after.as_secs_f64()),
        limit,
        due.hold_for.as_secs_f64(),
    )
    .fetch_all(conn)
    .await
}

/// Holds a look that takes longer.
///
/// # Errors
/// Where the database does not answer.
pub async fn renew(conn: &mut PgConnection, id: AttemptId, hold_for: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE attempts SET next_look_at = gateway_now() + make_interval(secs => $2)
        -- In words that no index answers to, since it would be walked through where few were looked at.
        WHERE id = $1 AND coalesce(next_look_at, '-infinity') <> '-infinity'
        ",
        id.0,
        hold_for.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// What a look found that found no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Gladia is at work.
    Running,
    /// Gladia does not have it.
    Nothing,
    /// Gladia did not answer, or not with this job.
    NoAnswer,
}

/// What became of the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It is asked for again.
    Waits,
    /// It is not asked for any more; its state had been settled before.
    Over {
        /// Whether a success that Gladia has not confirmed waits for an operator now.
        is_kept: bool,
    },
    /// Its job has failed: Gladia does not have it any more, or its time is up. Its slot is free.
    ResultMissing {
        /// Whether a success that Gladia has not confirmed waits for an operator now.
        is_kept: bool,
    },
    /// Somebody else settled it meanwhile.
    Stale,
}

/// Notes a look that found no end. Where that was the last one that matters, the attempt is given up: its job fails, its
/// slot is given back, and a success that arrives later still completes it. One that is here and was not confirmed is left to
/// an operator then.
///
/// Its time is up once the database's clock and `process_now` both say so.
///
/// # Errors
/// Where the database does not answer.
pub async fn note(
    conn: &mut PgConnection,
    id: AttemptId,
    found: Found,
    next_look_in: Duration,
    process_now: DateTime<Utc>,
) -> sqlx::Result<Noted> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock(&mut tx, id).await? else {
        return Ok(Noted::Stale);
    };
    let attempt = sqlx::query!(
        r#"
        UPDATE attempts
        SET looks = looks + 1,
            absences = CASE $2 WHEN 'nothing' THEN absences + 1 WHEN 'running' THEN 0 ELSE absences END,
            absent_since = CASE $2 WHEN 'nothing' THEN coalesce(absent_since, gateway_now())
                                   WHEN 'running' THEN NULL ELSE absent_since END,
            -- The end of its time gets a look of its own.
            next_look_at = CASE WHEN finished_at IS NULL AND deadline.at > gateway_now()
                                THEN least(gateway_now() + make_interval(secs => $3), deadline.at)
                                ELSE gateway_now() + make_interval(secs => $3) END
        FROM (SELECT coalesce((SELECT deadline_at FROM slots WHERE attempt_id = $1),
                              (SELECT created_at + make_interval(secs => $4) FROM attempts WHERE id = $1)) AS at) deadline
        -- In words that no index answers to, since it would be walked through where few were looked at.
        WHERE id = $1 AND coalesce(next_look_at, '-infinity') <> '-infinity'
        RETURNING looks, absences,
                  coalesce(extract(epoch FROM gateway_now() - absent_since), 0)::float8 AS "absent_seconds!",
                  deadline.at <= gateway_now() AS "is_past_deadline!",
                  coalesce(finished_at <= gateway_now() - make_interval(secs => $5), false) AS "has_ended_long_ago!"
        "#,
        id.0,
        match found {
            Found::Running => "running",
            Found::Nothing => "nothing",
            Found::NoAnswer => "no_answer",
        },
        next_look_in.as_secs_f64(),
        SLOT_DEADLINE.as_secs_f64(),
        ASKED_AFTER_END.as_secs_f64(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(attempt) = attempt else {
        return Ok(Noted::Stale);
    };
    if let (Found::Running, Some(gladia_id)) = (found, &locked.gladia_id)
        // Nothing is deleted before.
        && locked.job_status.is_terminal()
    {
        upstream_deletions::reopen(&mut tx, gladia_id).await?;
    }
    let absent_for = Duration::try_from_secs_f64(attempt.absent_seconds).unwrap_or_default();
    let is_lost = found == Found::Nothing
        && is_lost(
            u32::try_from(attempt.absences).unwrap_or_default(),
            absent_for,
        );
    let time_left = in_their_time(process_now).contain_for(id.0);
    let is_past_deadline = attempt.is_past_deadline && time_left.is_none();
    let noted = if locked.state == AttemptState::Accepted {
        if is_lost || is_past_deadline {
            let is_kept = give_up(&mut tx, id, locked.job_id, is_lost).await?;
            if !is_lost {
                // Gladia may have it all the same, above all where it did not answer.
                ask_on(&mut tx, id, next_look_in).await?;
            }
            Noted::ResultMissing { is_kept }
        } else {
            if attempt.is_past_deadline
                && let Some(time_left) = time_left
            {
                // Its end by the clock of this process gets a look of its own, too.
                let time_left = time_left.max(SOON);
                ask_on(&mut tx, id, next_look_in.min(time_left)).await?;
            }
            Noted::Waits
        }
    } else if is_lost || (attempt.has_ended_long_ago && attempt.looks >= LOOKS_AFTER_END) {
        let is_kept = stop_asking(&mut tx, id, locked.job_id, is_lost).await?;
        Noted::Over { is_kept }
    } else {
        Noted::Waits
    };
    tx.commit().await?;
    Ok(noted)
}

/// Gives an attempt up whose result is waited for: its job fails. Whether a success that Gladia has not confirmed is left to an
/// operator.
async fn give_up(
    conn: &mut PgConnection,
    id: AttemptId,
    job_id: JobId,
    is_lost: bool,
) -> sqlx::Result<bool> {
    let is_kept = unproven::leave_to_operator(conn, id).await?;
    let message = unproven::why_missing(is_lost, is_kept);
    dispatch::free_slot(conn, id).await?;
    expire(conn, id).await?;
    let kind = JobErrorType::ResultMissing;
    fail_job(conn, job_id, kind, None, message).await?;
    Ok(is_kept)
}

async fn ask_on(
    conn: &mut PgConnection,
    id: AttemptId,
    next_look_in: Duration,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE attempts SET next_look_at = gateway_now() + make_interval(secs => $2) WHERE id = $1",
        id.0,
        next_look_in.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Asks no more for an attempt that was settled before. Whether a success that Gladia has not confirmed is left to an operator.
async fn stop_asking(
    conn: &mut PgConnection,
    id: AttemptId,
    job_id: JobId,
    is_lost: bool,
) -> sqlx::Result<bool> {
    sqlx::query!(
        "UPDATE attempts SET next_look_at = NULL WHERE id = $1",
        id.0
    )
    .execute(&mut *conn)
    .await?;
    let is_kept = unproven::leave_to_operator(conn, id).await?;
    if is_kept {
        let message = unproven::why_missing(is_lost, is_kept);
        unproven::tell_of_kept(conn, job_id, message).await?;
    }
    Ok(is_kept)
}
