//! Attempts of unknown outcome that an operator sees and decides.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use super::{
    adoption::{Adopted, FoundBy, adopt_locked},
    expire, fail_job, finish, lock, requeue,
};
use crate::{
    db::{corrupt, dispatch, upstream_deletions::surplus},
    domain::{
        attempt::AttemptState,
        cursor::Cursor,
        ids::{AttemptId, JobId},
        job::{JobErrorType, StatusReason},
    },
};

/// An attempt of unknown outcome as operators see it.
#[derive(Debug)]
pub struct UndecidedAttempt {
    /// Its id.
    pub id: AttemptId,
    /// The job that it is about.
    pub job_id: JobId,
    /// When it was claimed.
    pub created_at: DateTime<Utc>,
    /// The process that claimed it sends nothing after this instant, unless it stood still between its last look at the clock and
    /// the write.
    pub send_until: DateTime<Utc>,
    /// What went wrong. `None` where the job was erased.
    pub detail: Option<String>,
    /// The HTTP status, if there was an answer.
    pub http_status: Option<i32>,
    /// Why it is not settled yet.
    pub unknown_reason: Option<String>,
    /// How often Gladia was asked.
    pub looks: i32,
    /// How often Gladia then did not have it.
    pub absences: i32,
}

/// Lists attempts of unknown outcome, oldest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(
    conn: &mut PgConnection,
    after: Option<Cursor<AttemptId>>,
    limit: i64,
) -> sqlx::Result<Vec<UndecidedAttempt>> {
    sqlx::query_as!(
        UndecidedAttempt,
        "
        SELECT id, job_id, created_at, send_until, detail, http_status, unknown_reason, looks, absences
        -- Those that are open come first: there are few, and all that there ever were are in the order that is asked for.
        FROM (SELECT * FROM attempts WHERE finished_at IS NULL AND state = 'unknown' OFFSET 0) open
        WHERE ($1::timestamptz IS NULL OR (created_at, id) > ($1, $2::uuid))
        ORDER BY created_at, id
        LIMIT $3
        ",
        after.map(|cursor| cursor.created_at),
        after.map(|cursor| cursor.id.0),
        limit,
    )
    .fetch_all(conn)
    .await
}

/// What an operator knows of an attempt, or makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'a> {
    /// Gladia does not have it: its job is sent again.
    NotSent,
    /// Gladia has it.
    Accepted {
        /// Under this id.
        gladia_id: &'a str,
    },
    /// It is given up: its job fails.
    Failed,
}

/// What came of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// It is carried out.
    Resolved {
        /// The job that it is about.
        job_id: JobId,
    },
    /// There is nothing to decide: the attempt is in this state.
    Settled(AttemptState),
    /// The id belongs to another attempt.
    Taken,
    /// There is no such attempt.
    NotFound,
}

/// The state of an attempt, as it is now. `None`: there is no such attempt.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_state(
    conn: &mut PgConnection,
    id: AttemptId,
) -> sqlx::Result<Option<AttemptState>> {
    sqlx::query!("SELECT state FROM attempts WHERE id = $1", id.0)
        .fetch_optional(conn)
        .await?
        .map(|attempt| attempt.state.parse().map_err(corrupt))
        .transpose()
}

/// Settles an attempt of unknown outcome as an operator says. Where its job was canceled or erased, the attempt alone is
/// settled.
///
/// # Errors
/// Where the database does not answer.
pub async fn decide(
    conn: &mut PgConnection,
    id: AttemptId,
    decision: Decision<'_>,
) -> sqlx::Result<Decided> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock(&mut tx, id).await? else {
        return Ok(Decided::NotFound);
    };
    if locked.state != AttemptState::Unknown {
        return Ok(Decided::Settled(locked.state));
    }
    let job_id = locked.job_id;
    let mut surplus = surplus::NewSurplus::default();
    match decision {
        Decision::NotSent => {
            let detail = "an operator decided that it had not arrived at Gladia";
            finish(&mut tx, id, AttemptState::NotSent, None, detail).await?;
            requeue(&mut tx, job_id, StatusReason::NotSent).await?;
        }
        Decision::Accepted { gladia_id } => {
            let adopted;
            (adopted, surplus) =
                adopt_locked(&mut tx, id, &locked, gladia_id, FoundBy::Operator).await?;
            if !matches!(adopted, Adopted::Adopted | Adopted::Known) {
                return Ok(Decided::Taken);
            }
        }
        Decision::Failed => {
            expire(&mut tx, id).await?;
            dispatch::free_slot(&mut tx, id).await?;
            let message = "It never became known whether the request reached Gladia. An operator gave it up; it was not \
                           sent again, because it may be billed.";
            fail_job(&mut tx, job_id, JobErrorType::OutcomeUnknown, None, message).await?;
        }
    }
    sqlx::query!(
        "UPDATE attempts SET settled_by = 'operator' WHERE id = $1",
        id.0
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    surplus.tell(job_id);
    Ok(Decided::Resolved { job_id })
}
