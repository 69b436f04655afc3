//! Attempts: recording how they went, and the moves that follow, for attempt, job and slot alike.

pub mod adoption;
pub mod decisions;
pub mod expiry;
mod forbidden;
pub mod in_flight;
pub mod look_ups;
mod one_statement;
pub mod overdue;

use sqlx::{Connection, PgConnection};

pub use self::one_statement::{Answer, record_answers};
use self::{
    adoption::{Adopted, FoundBy, adopt_locked, take_up_older},
    forbidden::About,
};

use super::{
    corrupt, dispatch,
    events::{self, EventType},
    lines,
    upstream_deletions::surplus,
};
use crate::domain::{
    attempt::{AttemptState, SubmitOutcome},
    ids::{AttemptId, JobId},
    job::{JobErrorType, JobStatus, StatusReason},
};

/// The rows around an attempt, locked.
pub(super) struct Locked {
    pub(super) job_id: JobId,
    pub(super) job_status: JobStatus,
    pub(super) state: AttemptState,
    pub(super) gladia_id: Option<String>,
}

/// Locks an attempt and its job, the job first.
pub(super) async fn lock(conn: &mut PgConnection, id: AttemptId) -> sqlx::Result<Option<Locked>> {
    let job = sqlx::query!(
        "
        SELECT id, status FROM jobs
        WHERE id = (SELECT job_id FROM attempts WHERE id = $1)
        FOR UPDATE
        ",
        id.0,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(job) = job else { return Ok(None) };
    let attempt = sqlx::query!(
        "SELECT state, gladia_id FROM attempts WHERE id = $1 FOR UPDATE",
        id.0
    )
    .fetch_one(conn)
    .await?;
    Ok(Some(Locked {
        job_id: job.id.into(),
        job_status: job.status.parse().map_err(corrupt)?,
        state: attempt.state.parse().map_err(corrupt)?,
        gladia_id: attempt.gladia_id,
    }))
}

/// What recording an outcome did.
#[derive(Debug, PartialEq, Eq)]
pub enum RecordedOutcome {
    /// It was written.
    Written,
    /// The attempt had moved on: its callback came first, or its lease ran out.
    Stale,
    /// Gladia's answer names a job that belongs to another attempt, or another one than the callback did.
    Contradiction,
}

/// Records the outcome of a create: attempt, job and slot in one commit.
///
/// # Errors
/// Where the database does not answer.
pub async fn record_outcome(
    conn: &mut PgConnection,
    id: AttemptId,
    outcome: &SubmitOutcome,
) -> sqlx::Result<RecordedOutcome> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock(&mut tx, id).await? else {
        return Ok(RecordedOutcome::Stale);
    };
    let mut surplus = surplus::NewSurplus::default();
    let recorded = match outcome {
        SubmitOutcome::Accepted { gladia_id } => {
            let adopted;
            (adopted, surplus) =
                adopt_locked(&mut tx, id, &locked, gladia_id, FoundBy::Answer).await?;
            match adopted {
                Adopted::Adopted => RecordedOutcome::Written,
                Adopted::Known | Adopted::UnknownAttempt => RecordedOutcome::Stale,
                Adopted::Surplus | Adopted::Taken => RecordedOutcome::Contradiction,
            }
        }
        // The answer to the one request of this attempt is true whenever it is learnt, also after the lease. But it adds
        // nothing to an attempt that has ended, and no knowledge adds nothing to "unknown".
        SubmitOutcome::Unknown { .. } if locked.state == AttemptState::Unknown => {
            RecordedOutcome::Stale
        }
        _ if !matches!(
            locked.state,
            AttemptState::Submitting | AttemptState::Unknown
        ) =>
        {
            RecordedOutcome::Stale
        }
        SubmitOutcome::Refused {
            http_status,
            message,
        } => {
            finish(
                &mut tx,
                id,
                AttemptState::Refused,
                Some(*http_status),
                message,
            )
            .await?;
            fail_job(
                &mut tx,
                locked.job_id,
                JobErrorType::GladiaRefused,
                Some(i32::from(*http_status)),
                message,
            )
            .await?;
            RecordedOutcome::Written
        }
        SubmitOutcome::KeyRefused {
            http_status,
            message,
        }
        | SubmitOutcome::GatewayRefused {
            http_status,
            message,
        } => {
            finish(
                &mut tx,
                id,
                AttemptState::Refused,
                Some(*http_status),
                message,
            )
            .await?;
            record_forbidden(&mut tx, locked.job_id, *http_status, message).await?;
            RecordedOutcome::Written
        }
        SubmitOutcome::Busy { message, .. } => {
            finish(&mut tx, id, AttemptState::NotSent, Some(429), message).await?;
            requeue(&mut tx, locked.job_id, StatusReason::GladiaBusy).await?;
            RecordedOutcome::Written
        }
        SubmitOutcome::Unreadable { message } => {
            finish(&mut tx, id, AttemptState::NotSent, None, message).await?;
            let kind = JobErrorType::GladiaRefused;
            fail_job(&mut tx, locked.job_id, kind, None, message).await?;
            RecordedOutcome::Written
        }
        SubmitOutcome::NotSent { detail } => {
            finish(&mut tx, id, AttemptState::NotSent, None, detail).await?;
            requeue(&mut tx, locked.job_id, StatusReason::NotSent).await?;
            RecordedOutcome::Written
        }
        SubmitOutcome::Unknown {
            http_status,
            detail,
        } => {
            mark_as_unknown(&mut tx, id, locked.job_id, *http_status, detail).await?;
            RecordedOutcome::Written
        }
    };
    tx.commit().await?;
    surplus.tell(locked.job_id);
    Ok(recorded)
}

/// Fails the job where such a refusal is about that one, and leaves it in line where it is about the gateway.
async fn record_forbidden(
    conn: &mut PgConnection,
    id: JobId,
    http_status: u16,
    message: &str,
) -> sqlx::Result<()> {
    if http_status != forbidden::UNAUTHORIZED {
        match forbidden::judge(conn, id).await? {
            About::ThisJob => {
                let kind = JobErrorType::GladiaRefused;
                return fail_job(conn, id, kind, Some(http_status.into()), message).await;
            }
            About::Gateway { refusals } => {
                forbidden::let_others_first(conn, id, refusals).await?;
            }
        }
    }
    requeue(conn, id, StatusReason::GladiaKeyRefused).await
}

/// Ends an attempt that cannot be running upstream, and gives its slot back.
async fn finish(
    conn: &mut PgConnection,
    id: AttemptId,
    state: AttemptState,
    http_status: Option<u16>,
    detail: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE attempts
        SET state = $2, http_status = $3, detail = $4, answered_at = gateway_now(), finished_at = gateway_now(),
            next_look_at = NULL, unknown_reason = NULL
        WHERE id = $1 AND state IN ('submitting', 'unknown')
        ",
        id.0,
        state.as_str(),
        http_status.map(i32::from),
        detail,
    )
    .execute(&mut *conn)
    .await?;
    dispatch::free_slot(conn, id).await
}

/// Puts a job back into its old place in the line, unless Gladia is known to have it by an older attempt.
async fn requeue(conn: &mut PgConnection, id: JobId, reason: StatusReason) -> sqlx::Result<()> {
    let moved = sqlx::query!(
        "UPDATE jobs SET status = 'queued', status_reason = $2 WHERE id = $1 AND status IN ('submitting', 'unknown')",
        id.0,
        reason.as_str(),
    )
    .execute(&mut *conn)
    .await?;
    if moved.rows_affected() == 1 {
        lines::note_return(&mut *conn, id).await?;
        events::insert(&mut *conn, id, EventType::Requeued).await?;
        take_up_older(conn, id).await?;
    }
    Ok(())
}

async fn fail_job(
    conn: &mut PgConnection,
    id: JobId,
    kind: JobErrorType,
    code: Option<i32>,
    message: &str,
) -> sqlx::Result<()> {
    let moved = sqlx::query!(
        "
        UPDATE jobs
        SET status = 'error', status_reason = NULL, finished_at = gateway_now(),
            error_type = $2, error_code = $3, error_message = $4
        WHERE id = $1 AND status IN ('submitting', 'unknown', 'processing')
        ",
        id.0,
        kind.as_str(),
        code,
        message,
    )
    .execute(&mut *conn)
    .await?;
    if moved.rows_affected() == 1 {
        events::insert(conn, id, EventType::Error).await?;
    }
    Ok(())
}

async fn mark_as_unknown(
    conn: &mut PgConnection,
    id: AttemptId,
    job_id: JobId,
    http_status: Option<u16>,
    detail: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE attempts SET state = 'unknown', http_status = $2, detail = $3, answered_at = gateway_now()
        -- In words that no index answers to, since it would be walked through where few were submitted.
        WHERE id = $1 AND coalesce(state, '') = 'submitting'
        ",
        id.0,
        http_status.map(i32::from),
        detail,
    )
    .execute(&mut *conn)
    .await?;
    let moved = sqlx::query!(
        "
        UPDATE jobs SET status = 'unknown', status_reason = 'outcome_unknown'
        WHERE id = $1 AND status = 'submitting'
        ",
        job_id.0,
    )
    .execute(&mut *conn)
    .await?;
    if moved.rows_affected() == 1 {
        events::insert(conn, job_id, EventType::Unknown).await?;
    }
    Ok(())
}

/// Gives an attempt up, whatever it waits for.
pub(super) async fn expire(conn: &mut PgConnection, id: AttemptId) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE attempts
        SET state = 'expired', finished_at = gateway_now(), next_look_at = NULL, unknown_reason = NULL
        WHERE id = $1 AND state IN ('submitting', 'accepted', 'unknown')
        ",
        id.0,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Leaves an attempt of unknown outcome to an operator.
async fn await_decision(conn: &mut PgConnection, id: AttemptId, job_id: JobId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE attempts SET unknown_reason = 'awaiting_decision' WHERE id = $1 AND state = 'unknown'",
        id.0,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE jobs SET status_reason = 'awaiting_decision' WHERE id = $1 AND status = 'unknown'",
        job_id.0,
    )
    .execute(conn)
    .await
    .map(|_| ())
}
