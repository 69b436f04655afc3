//! What time ends: leases of processes that went silent, and slots past their deadline.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use super::{await_decision, expire, fail_job, lock, mark_as_unknown};
use crate::{
    db::{callbacks::unproven, claims::SLOT_DEADLINE, clock::RecentIds, dispatch},
    domain::{attempt::AttemptState, ids::AttemptId, job::JobErrorType},
};

/// Finds attempts whose process went silent.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_expired_leases(conn: &mut PgConnection) -> sqlx::Result<Vec<AttemptId>> {
    sqlx::query_scalar!(
        "SELECT id FROM attempts WHERE state = 'submitting' AND lease_until <= gateway_now() ORDER BY lease_until LIMIT 100"
    )
    .fetch_all(conn)
    .await
    .map(|ids| ids.into_iter().map(Into::into).collect())
}

/// Takes an attempt from a process that went silent: whatever it did, it may have sent. `false` where it is not being sent any
/// more.
///
/// # Errors
/// Where the database does not answer.
pub async fn expire_lease(conn: &mut PgConnection, id: AttemptId) -> sqlx::Result<bool> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock(&mut tx, id).await? else {
        return Ok(false);
    };
    if locked.state != AttemptState::Submitting {
        return Ok(false);
    }
    let detail = "the process that submitted it went silent; it may have reached Gladia";
    mark_as_unknown(&mut tx, id, locked.job_id, None, detail).await?;
    tx.commit().await?;
    Ok(true)
}

/// The attempts whose time is not over by the clock of the process, whatever the database's says. One that is ahead would end
/// whatever Gladia works on.
pub(super) fn in_their_time(process_now: DateTime<Utc>) -> RecentIds {
    RecentIds::since(process_now - SLOT_DEADLINE, process_now)
}

/// Finds attempts that hold their slot past its deadline, by the clock of the database and that of the process.
///
/// `zero_data_retention`: Gladia cannot be asked for one. Then those are among them that it has accepted, which else get a last look
/// first, which also gives them up ([`overdue::note`](super::overdue::note)). And those without a slot: one that was accepted when
/// none was free, and one of unknown outcome that had its slot taken before its job ended.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_past_deadline(
    conn: &mut PgConnection,
    zero_data_retention: bool,
    process_now: DateTime<Utc>,
) -> sqlx::Result<Vec<AttemptId>> {
    let in_time = in_their_time(process_now);
    sqlx::query!(
        r#"
        SELECT s.attempt_id AS "attempt_id!", s.deadline_at AS "deadline_at!"
        FROM slots s CROSS JOIN LATERAL (SELECT state FROM attempts WHERE id = s.attempt_id OFFSET 0) a
        WHERE s.deadline_at <= gateway_now() AND NOT s.attempt_id BETWEEN $3 AND $4
          AND ($1 OR a.state <> 'accepted')
        UNION ALL
        SELECT a.id, a.created_at + make_interval(secs => $2) FROM attempts a
        WHERE $1 AND a.finished_at IS NULL
          AND (a.state = 'accepted'
               OR a.state = 'unknown' AND (SELECT j.finished_at IS NOT NULL FROM jobs j WHERE j.id = a.job_id))
          AND a.created_at + make_interval(secs => $2) <= gateway_now() AND NOT a.id BETWEEN $3 AND $4
          AND NOT EXISTS (SELECT FROM slots s WHERE s.attempt_id = a.id OFFSET 0)
        ORDER BY 2 LIMIT 100
        "#,
        zero_data_retention,
        SLOT_DEADLINE.as_secs_f64(),
        in_time.first,
        in_time.last,
    )
    .fetch_all(conn)
    .await
    .map(|rows| rows.into_iter().map(|row| row.attempt_id.into()).collect())
}

/// What the end of a slot's time meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// Nothing was left to end.
    Nothing,
    /// Gladia had accepted it, and nothing came: the job has failed.
    ResultMissing,
    /// It is still not known whether Gladia has it. The slot is free; the attempt goes on waiting.
    StillUnknown,
    /// It will not be known whether Gladia had it, and nothing depends on it: its job has ended.
    NeverKnown,
}

/// Gives back a slot at its deadline: Gladia cannot be at work any more.
///
/// A job that Gladia had accepted fails then; a success that arrives later still completes it. One of unknown outcome stays
/// unknown: the clock says nothing of whether it was sent. It goes on being looked for, or, where nobody can look
/// (`zero_data_retention`), waits for an operator; where its job has ended it is given up, since no decision would change anything.
///
/// # Errors
/// Where the database does not answer.
pub async fn expire_slot(
    conn: &mut PgConnection,
    id: AttemptId,
    zero_data_retention: bool,
    process_now: DateTime<Utc>,
) -> sqlx::Result<Expired> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock(&mut tx, id).await? else {
        return Ok(Expired::Nothing);
    };
    let is_past = sqlx::query!(
        r#"
        SELECT coalesce(
            (SELECT deadline_at FROM slots WHERE attempt_id = $1),
            (SELECT created_at + make_interval(secs => $2) FROM attempts
             WHERE id = $1 AND (state = 'accepted' OR state = 'unknown'))
        ) <= gateway_now() AS past
        "#,
        id.0,
        SLOT_DEADLINE.as_secs_f64(),
    )
    .fetch_one(&mut *tx)
    .await?
    .past;
    // One that turned out to be accepted since it was listed has a last look before it, as others have.
    let has_a_look = locked.state == AttemptState::Accepted && !zero_data_retention;
    if is_past != Some(true) || in_their_time(process_now).contains(id.0) || has_a_look {
        return Ok(Expired::Nothing);
    }
    dispatch::free_slot(&mut tx, id).await?;
    let expired = if locked.state == AttemptState::Unknown {
        if zero_data_retention && locked.job_status.is_terminal() {
            expire(&mut tx, id).await?;
            Expired::NeverKnown
        } else {
            if zero_data_retention {
                await_decision(&mut tx, id, locked.job_id).await?;
            }
            Expired::StillUnknown
        }
    } else {
        expire(&mut tx, id).await?;
        let is_kept = unproven::leave_to_operator(&mut tx, id).await?;
        let message = unproven::why_missing(false, is_kept);
        fail_job(
            &mut tx,
            locked.job_id,
            JobErrorType::ResultMissing,
            None,
            message,
        )
        .await?;
        Expired::ResultMissing
    };
    tx.commit().await?;
    Ok(expired)
}
