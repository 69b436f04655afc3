//! Searching Gladia's list for attempts whose id there is unknown: what that needs to know, and what it changes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use super::{Locked, await_decision, finish, lock, requeue};
use crate::domain::{
    attempt::AttemptState, ids::AttemptId, job::StatusReason, settling::UnknownReason,
};

/// An attempt of unknown outcome.
#[derive(Debug, Clone)]
pub struct UnknownAttempt {
    /// Its id.
    pub id: AttemptId,
    /// When it was claimed.
    pub created_at: DateTime<Utc>,
    /// The last instant at which its request could leave.
    pub send_until: DateTime<Utc>,
    /// When it is looked for next, if that is set.
    pub next_look_at: Option<DateTime<Utc>>,
    /// How often it was looked for.
    pub looks: i32,
    /// How often it counted as not there.
    pub absences: i32,
    /// Whether it was left to an operator.
    pub awaits_decision: bool,
    /// Whether its job was sent again before without a witness.
    pub was_resent_blindly: bool,
    /// How often its job was sent again because an attempt was not there.
    pub resends: i64,
    /// Whether its job was canceled, or is done by another attempt. Then nothing is sent again, whatever comes of this one.
    pub job_has_ended: bool,
}

impl UnknownAttempt {
    /// Whether an operator has to decide. It is adopted if it is found, and not judged any more.
    #[must_use]
    pub fn is_left_to_operator(&self) -> bool {
        self.awaits_decision && !self.job_has_ended
    }
}

/// A job that Gladia is known to have accepted. A look that finds it proves that the list is complete up to there.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its attempt.
    pub id: AttemptId,
    /// When it was claimed. It was accepted later than that, and that alone counts: when an answer came says little.
    pub created_at: DateTime<Utc>,
    /// When it was known to be accepted.
    pub accepted_at: DateTime<Utc>,
}

/// How many candidates are taken along for each attempt. One that is found is enough.
const CANDIDATES: i64 = 10;

/// How many attempts are looked through for them, at either end.
const LOOKED_THROUGH: i64 = 1000;

/// An attempt that is being sent, or of unknown outcome.
#[derive(Debug, Clone, Copy)]
pub struct OpenAttempt {
    /// Its id.
    pub id: AttemptId,
    /// How often it counted as not there.
    pub absences: i32,
    /// Whether it is to be looked for.
    pub is_due: bool,
}

/// Lists every attempt that is being sent or of unknown outcome. One of the latter is due by its own time or for the first time
/// `settling_time` after its request could leave; and at once where its job has ended since the last look, `next_after_decision`
/// before the next, and it was left to an operator.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_open(
    conn: &mut PgConnection,
    settling_time: Duration,
    next_after_decision: Duration,
) -> sqlx::Result<Vec<OpenAttempt>> {
    sqlx::query_as!(
        OpenAttempt,
        r#"
        SELECT a.id, a.absences,
               a.state = 'unknown' AND coalesce(
                   least(CASE WHEN a.unknown_reason = 'awaiting_decision' THEN
                             (SELECT j.finished_at FROM jobs j
                              WHERE j.id = a.job_id AND j.finished_at > a.next_look_at - make_interval(secs => $2)) END,
                         a.next_look_at),
                   a.send_until + make_interval(secs => $1)) <= gateway_now() AS "is_due!"
        FROM attempts a
        WHERE a.finished_at IS NULL AND a.state IN ('submitting', 'unknown')
        "#,
        settling_time.as_secs_f64(),
        next_after_decision.as_secs_f64(),
    )
    .fetch_all(conn)
    .await
}

/// Takes the right to look, or keeps it, for a while. `false` where another process has it.
///
/// # Errors
/// Where the database does not answer.
pub async fn hold(conn: &mut PgConnection, worker: &str, hold_for: Duration) -> sqlx::Result<bool> {
    sqlx::query!(
        "
        UPDATE look_ups SET worker = $1, held_until = gateway_now() + make_interval(secs => $2)
        WHERE worker = $1 OR held_until <= gateway_now()
        ",
        worker,
        hold_for.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Gives the right to look back.
///
/// # Errors
/// Where the database does not answer.
pub async fn release(conn: &mut PgConnection, worker: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE look_ups SET worker = NULL, held_until = '-infinity' WHERE worker = $1",
        worker
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Lists every attempt of unknown outcome, oldest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_unknown(conn: &mut PgConnection) -> sqlx::Result<Vec<UnknownAttempt>> {
    sqlx::query_as!(
        UnknownAttempt,
        r#"
        WITH unknown AS MATERIALIZED (
            -- Unsorted: for the order below, the index of all attempts by time would be walked.
            SELECT * FROM attempts WHERE state = 'unknown' AND finished_at IS NULL
        )
        SELECT id, created_at, send_until, next_look_at, looks, absences,
               unknown_reason IS NOT DISTINCT FROM 'awaiting_decision' AS "awaits_decision!",
               EXISTS (SELECT FROM attempts earlier
                       WHERE earlier.job_id = u.job_id AND earlier.settled_without_witness OFFSET 0) AS "was_resent_blindly!",
               (SELECT count(*) FROM attempts earlier
                WHERE earlier.job_id = u.job_id AND earlier.state = 'not_sent' AND earlier.settled_by = 'look_up')
                   AS "resends!",
               (SELECT finished_at IS NOT NULL FROM jobs WHERE id = u.job_id) AS "job_has_ended!"
        FROM unknown u
        ORDER BY created_at, id
        "#
    )
    .fetch_all(conn)
    .await
}

/// Lists, for each of the instants, jobs claimed from it on that Gladia accepted and still has, oldest first: of the first ones
/// and of the last ones, since all in between may have been deleted there. `started_at` is when the look began: what was claimed
/// later was so by a clock that has gone back since, and may be older than the attempt.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_candidates(
    conn: &mut PgConnection,
    instants: &[DateTime<Utc>],
    started_at: DateTime<Utc>,
) -> sqlx::Result<Vec<Candidate>> {
    sqlx::query_as!(
        Candidate,
        r#"
        SELECT DISTINCT candidate.created_at AS "created_at!", candidate.id AS "id!",
               candidate.answered_at AS "accepted_at!"
        FROM unnest($1::timestamptz[]) AS instant (at)
        CROSS JOIN LATERAL (
            (SELECT a.id, a.created_at, a.answered_at
             -- So many and no more, however many were deleted.
             FROM (SELECT * FROM attempts WHERE created_at BETWEEN instant.at AND $4 ORDER BY created_at LIMIT $3) a
             WHERE a.answered_at IS NOT NULL AND a.gladia_id IS NOT NULL
               -- One that was deleted at Gladia is not in its list.
               AND NOT EXISTS (SELECT FROM upstream_deletions d WHERE d.gladia_id = a.gladia_id OFFSET 0)
             ORDER BY a.created_at LIMIT $2)
            UNION ALL
            (SELECT a.id, a.created_at, a.answered_at
             FROM (SELECT * FROM attempts WHERE created_at BETWEEN instant.at AND $4
                   ORDER BY created_at DESC LIMIT $3) a
             WHERE a.answered_at IS NOT NULL AND a.gladia_id IS NOT NULL
               AND NOT EXISTS (SELECT FROM upstream_deletions d WHERE d.gladia_id = a.gladia_id OFFSET 0)
             ORDER BY a.created_at DESC LIMIT $2)
        ) candidate
        ORDER BY 1, 2
        "#,
        instants,
        CANDIDATES,
        LOOKED_THROUGH,
        started_at,
    )
    .fetch_all(conn)
    .await
}

/// Whether a witness may still come by itself: something is being sent, or will be when a slot is free.
///
/// # Errors
/// Where the database does not answer.
pub async fn may_witness_come(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (SELECT FROM attempts WHERE state = 'submitting' AND finished_at IS NULL)
            -- In the order of the index that has them, which alone is small.
            OR EXISTS (SELECT FROM (SELECT FROM jobs WHERE status = 'queued' ORDER BY tenant_id LIMIT 1) head)
           AND ((SELECT count(*) FROM slots WHERE attempt_id IS NOT NULL) < (SELECT max_in_flight FROM dispatch)
                -- A slot that something else than an unknown attempt holds is given back in time.
                OR EXISTS (SELECT FROM slots s WHERE (SELECT a.state FROM attempts a WHERE a.id = s.attempt_id) <> 'unknown'))
               AS "may_come!"
        "#
    )
    .fetch_one(conn)
    .await
}

/// Of the attempts that a list shows, those whose row does not say so yet. `seen` and `gladia_ids` go together.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_news(
    conn: &mut PgConnection,
    seen: &[AttemptId],
    gladia_ids: &[String],
) -> sqlx::Result<Vec<(AttemptId, String)>> {
    let seen: Vec<_> = seen.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"
        SELECT seen.id AS "id!", seen.gladia_id AS "gladia_id!"
        FROM unnest($1::uuid[], $2::text[]) AS seen (id, gladia_id)
        JOIN attempts a ON a.id = seen.id
        WHERE a.gladia_id IS DISTINCT FROM seen.gladia_id
          AND NOT EXISTS (SELECT FROM upstream_deletions d WHERE d.gladia_id = seen.gladia_id)
        "#,
        &seen,
        gladia_ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id.into(), row.gladia_id))
        .collect())
}

/// Notes a look that did not find an attempt: whether it counted, why it waits on, and when the next is due.
///
/// `false` where another look came in between; this one then counts for nothing.
///
/// # Errors
/// Where the database does not answer.
pub async fn note_absence(
    conn: &mut PgConnection,
    attempt: &UnknownAttempt,
    waits_for: Option<UnknownReason>,
    next_look_in: Duration,
) -> sqlx::Result<bool> {
    sqlx::query!(
        "
        UPDATE attempts
        SET looks = looks + 1,
            absences = absences + CASE WHEN $3::text IS NULL THEN 1 ELSE 0 END,
            absent_since = CASE WHEN $3::text IS NULL THEN coalesce(absent_since, gateway_now()) ELSE absent_since END,
            unknown_reason = coalesce($3, 'settling'),
            next_look_at = gateway_now() + make_interval(secs => $4)
        WHERE id = $1 AND state = 'unknown' AND looks = $2
        ",
        attempt.id.0,
        attempt.looks,
        waits_for.map(UnknownReason::as_str),
        next_look_in.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Settles an attempt as not sent: its slot is given back, and its job goes back to its old place in the line, ahead of its
/// tenant's later ones. `false` where the attempt moved, or another look came in between.
///
/// `without_witness`: nothing proved it but time.
///
/// # Errors
/// Where the database does not answer.
pub async fn settle_as_not_sent(
    conn: &mut PgConnection,
    attempt: &UnknownAttempt,
    without_witness: bool,
) -> sqlx::Result<bool> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock_current(&mut tx, attempt).await? else {
        return Ok(false);
    };
    let detail = "its outcome was unknown, and Gladia's list proved that it had not arrived";
    finish(&mut tx, attempt.id, AttemptState::NotSent, None, detail).await?;
    sqlx::query!(
        "
        UPDATE attempts
        SET settled_by = 'look_up', looks = looks + 1, absences = absences + 1, settled_without_witness = $2
        WHERE id = $1
        ",
        attempt.id.0,
        without_witness,
    )
    .execute(&mut *tx)
    .await?;
    requeue(&mut tx, locked.job_id, StatusReason::NotSent).await?;
    tx.commit().await?;
    Ok(true)
}

/// Leaves an attempt to an operator: one that would count as not sent, or, where `is_there`, one that Gladia has and whose row
/// cannot take the id. It goes on being looked for now and then. `false` where the attempt moved, or another look came in
/// between.
///
/// # Errors
/// Where the database does not answer.
pub async fn leave_to_operator(
    conn: &mut PgConnection,
    attempt: &UnknownAttempt,
    is_there: bool,
    next_look_in: Duration,
) -> sqlx::Result<bool> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock_current(&mut tx, attempt).await? else {
        return Ok(false);
    };
    let waits_for = is_there.then_some(UnknownReason::AwaitingDecision);
    note_absence(&mut tx, attempt, waits_for, next_look_in).await?;
    await_decision(&mut tx, attempt.id, locked.job_id).await?;
    tx.commit().await?;
    Ok(true)
}

/// Locks an attempt that is still unknown, unless another look has been noted since it was listed.
async fn lock_current(
    conn: &mut PgConnection,
    attempt: &UnknownAttempt,
) -> sqlx::Result<Option<Locked>> {
    let Some(locked) = lock(conn, attempt.id).await? else {
        return Ok(None);
    };
    let looks = sqlx::query_scalar!("SELECT looks FROM attempts WHERE id = $1", attempt.id.0)
        .fetch_one(conn)
        .await?;
    let is_current = looks == attempt.looks;
    Ok((locked.state == AttemptState::Unknown && is_current).then_some(locked))
}
