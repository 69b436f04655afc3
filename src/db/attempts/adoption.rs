//! Learning that Gladia has an attempt, and under which id.
//!
//! The create's answer says so as a rule. Where it never came, the callback does, an account webhook, a look at Gladia's
//! list, or an operator; and all of them may say so of an attempt that was given up long ago. It is true whenever it is
//! learnt, so it is taken in any state; what it changes depends on where the job is by then.

use sqlx::{Connection, PgConnection};

use super::{Locked, lock, overdue};
use crate::{
    db::{
        claims::SLOT_DEADLINE,
        events::{self, EventType},
        upstream_deletions::{self, surplus},
    },
    domain::{
        attempt::AttemptState,
        ids::{AttemptId, JobId},
        job::JobStatus,
    },
};

/// Who says that Gladia has an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundBy {
    /// The answer to its create.
    Answer,
    /// A callback whose result is still to be fetched: it was too large, or its success has to be confirmed.
    Callback,
    /// Gladia's list.
    LookUp {
        /// Whether the list says that Gladia's job has ended. Its result is then fetched at once.
        ended: bool,
    },
    /// An account webhook.
    Webhook,
    /// An operator.
    Operator,
}

impl FoundBy {
    /// The name in SQL. An answer settles nothing: it was expected.
    fn settled_by(self) -> Option<&'static str> {
        match self {
            Self::Answer => None,
            Self::Callback => Some("callback"),
            Self::LookUp { .. } => Some("look_up"),
            Self::Webhook => Some("webhook"),
            Self::Operator => Some("operator"),
        }
    }

    /// Whether the result should be asked for at once, since it may have been there for long.
    fn asks_at_once(self) -> bool {
        matches!(
            self,
            Self::Callback | Self::Operator | Self::LookUp { ended: true }
        )
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// The attempt has its id now.
    Adopted,
    /// It had it before.
    Known,
    /// It has another one: Gladia has it twice. Noted as surplus.
    Surplus,
    /// The id belongs to another attempt.
    Taken,
    /// There is no such attempt.
    UnknownAttempt,
}

/// Takes down that Gladia has an attempt.
///
/// # Errors
/// Where the database does not answer.
pub async fn adopt(
    conn: &mut PgConnection,
    id: AttemptId,
    gladia_id: &str,
    by: FoundBy,
) -> sqlx::Result<Adopted> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock(&mut tx, id).await? else {
        return Ok(Adopted::UnknownAttempt);
    };
    let (adopted, surplus) = adopt_locked(&mut tx, id, &locked, gladia_id, by).await?;
    tx.commit().await?;
    surplus.tell(locked.job_id);
    Ok(adopted)
}

/// The same within a transaction that holds the locks. What it notes as surplus is to be told after the commit.
pub(in crate::db) async fn adopt_locked(
    conn: &mut PgConnection,
    id: AttemptId,
    locked: &Locked,
    gladia_id: &str,
    by: FoundBy,
) -> sqlx::Result<(Adopted, surplus::NewSurplus)> {
    let nothing = surplus::NewSurplus::default();
    if let Some(known) = &locked.gladia_id {
        if known == gladia_id {
            return Ok((Adopted::Known, nothing));
        }
        if is_taken(conn, gladia_id).await? {
            return Ok((Adopted::Taken, nothing));
        }
        let surplus = surplus::note_second(conn, locked.job_id, gladia_id).await?;
        return Ok((Adopted::Surplus, surplus));
    }
    if is_taken(conn, gladia_id).await? {
        return Ok((Adopted::Taken, nothing));
    }
    // While the job waits in line, no other attempt is open, and this one can take up again what was given up.
    let takes_up = locked.state.is_open() || locked.job_status == JobStatus::Queued;
    // One that stays finished is asked for all the same: the first success completes the job.
    let asks = by.asks_at_once()
        || !(takes_up || matches!(locked.job_status, JobStatus::Done | JobStatus::Canceled));
    sqlx::query!(
        "
        UPDATE attempts
        SET gladia_id = $2, answered_at = coalesce(answered_at, gateway_now()),
            settled_by = $3,
            state = CASE WHEN $4 THEN 'accepted' ELSE state END,
            finished_at = CASE WHEN $4 THEN NULL ELSE finished_at END,
            looks = 0, absences = 0, absent_since = NULL, unknown_reason = NULL,
            next_look_at = CASE WHEN $5 THEN gateway_now() END
        WHERE id = $1 AND gladia_id IS NULL
        ",
        id.0,
        gladia_id,
        by.settled_by(),
        takes_up,
        asks,
    )
    .execute(&mut *conn)
    .await?;
    overdue::expect(conn, id).await?;
    if takes_up {
        begin_processing(conn, id, locked, gladia_id).await?;
    }
    let surplus = surplus::note(conn, locked.job_id).await?;
    upstream_deletions::request_for_erased(conn, locked.job_id).await?;
    Ok((Adopted::Adopted, surplus))
}

/// Takes up an older attempt of a job that is back in line, where Gladia turned out to have it while a later one was under way.
/// Another one would be a second job there. Not one that is known to have failed there, or to be gone: nobody asks for it any
/// more.
pub(super) async fn take_up_older(conn: &mut PgConnection, job_id: JobId) -> sqlx::Result<()> {
    let older = sqlx::query!(
        r#"
        UPDATE attempts
        SET state = 'accepted', finished_at = NULL, looks = 0, absences = 0, absent_since = NULL, unknown_reason = NULL,
            -- Its callback may have come and gone.
            next_look_at = gateway_now()
        WHERE id = ANY (ARRAY(SELECT id FROM attempts
                              WHERE job_id = $1 AND state = 'not_sent' AND gladia_id IS NOT NULL
                                AND next_look_at IS NOT NULL
                              ORDER BY number LIMIT 1))
        RETURNING id, gladia_id AS "gladia_id!"
        "#,
        job_id.0,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(older) = older else { return Ok(()) };
    let id = older.id.into();
    overdue::expect(conn, id).await?;
    let locked = Locked {
        job_id,
        job_status: JobStatus::Queued,
        state: AttemptState::NotSent,
        gladia_id: None,
    };
    begin_processing(conn, id, &locked, &older.gladia_id).await
}

/// Moves the job along with its attempt.
async fn begin_processing(
    conn: &mut PgConnection,
    id: AttemptId,
    locked: &Locked,
    gladia_id: &str,
) -> sqlx::Result<()> {
    if locked.state != AttemptState::Submitting {
        take_free_slot(conn, id).await?;
    }
    let moved = sqlx::query!(
        "
        UPDATE jobs SET status = 'processing', status_reason = NULL, gladia_id = $2
        WHERE id = $1 AND status IN ('queued', 'submitting', 'unknown')
        ",
        locked.job_id.0,
        gladia_id,
    )
    .execute(&mut *conn)
    .await?;
    if moved.rows_affected() == 1 {
        return events::insert(conn, locked.job_id, EventType::Processing).await;
    }
    if locked.job_status == JobStatus::Canceled {
        // Its caller may want to ask Gladia about it all the same.
        set_gladia_id(conn, locked.job_id, gladia_id).await?;
    }
    Ok(())
}

async fn set_gladia_id(conn: &mut PgConnection, id: JobId, gladia_id: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE jobs SET gladia_id = $2 WHERE id = $1",
        id.0,
        gladia_id
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Gladia is at work on an attempt that had lost its slot: it takes one, where one is free, so that the cap holds. Slots
/// that others have locked are passed over, since the order of locks is the other way round here.
async fn take_free_slot(conn: &mut PgConnection, id: AttemptId) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE slots
        SET attempt_id = a.id, tenant_id = j.tenant_id, taken_at = gateway_now(),
            deadline_at = gateway_now() + make_interval(secs => $2)
        FROM attempts a JOIN jobs j ON j.id = a.job_id
        WHERE a.id = $1
          AND NOT EXISTS (SELECT FROM slots held WHERE held.attempt_id = $1)
          AND slots.number = (
              SELECT number FROM slots
              WHERE attempt_id IS NULL AND number <= (SELECT max_in_flight FROM dispatch)
              ORDER BY number LIMIT 1
              FOR UPDATE SKIP LOCKED
          )
        ",
        id.0,
        SLOT_DEADLINE.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Whether some attempt answers for this job of Gladia's.
pub(in crate::db) async fn is_taken(
    conn: &mut PgConnection,
    gladia_id: &str,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM attempts WHERE gladia_id = $1) AS "taken!""#,
        gladia_id
    )
    .fetch_one(conn)
    .await
}
