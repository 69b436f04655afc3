//! Successes that are kept until Gladia confirms them (`VERIFY_CALLBACKS=fetch`), and what becomes of them.

use sqlx::PgConnection;

use crate::domain::ids::{AttemptId, JobId};

mod unasked;

pub use self::unasked::{Attended, Page, attend, find};

/// Why one waits for an operator. Also what tells it from what was quarantined for another reason.
const NOT_CONFIRMED: &str = "Gladia did not confirm it when it was asked for the result";

/// Leaves what Gladia did not confirm to an operator, since nobody waits for that any more. Whether there was anything. Nothing
/// is left of it where the job's content must not be kept, nor of a job that has its result. The caller holds the locks.
pub(in crate::db) async fn leave_to_operator(
    conn: &mut PgConnection,
    id: AttemptId,
) -> sqlx::Result<bool> {
    let left = sqlx::query!(
        r#"
        UPDATE callbacks c
        SET outcome = CASE WHEN j.discard THEN 'discarded' WHEN j.status = 'done' THEN 'superseded' ELSE 'quarantined' END,
            reason = CASE WHEN NOT j.discard AND j.status <> 'done' THEN $2 END,
            body = CASE WHEN NOT j.discard THEN c.body END
        FROM (SELECT status, discard FROM jobs WHERE id = (SELECT job_id FROM attempts WHERE id = $1) OFFSET 0) j
        -- In words that no index of what is kept apart answers to.
        WHERE c.attempt_id = $1 AND coalesce(c.outcome, '') = 'unproven'
        RETURNING c.outcome = 'quarantined' AS "is_quarantined!"
        "#,
        id.0,
        NOT_CONFIRMED,
    )
    .fetch_all(conn)
    .await?;
    Ok(left.into_iter().any(|row| row.is_quarantined))
}

/// What waited for a proof waits no more: Gladia was asked and has told the end. The caller holds the locks.
pub(super) async fn end_wait(
    conn: &mut PgConnection,
    id: AttemptId,
    is_confirmed: bool,
) -> sqlx::Result<()> {
    if is_confirmed {
        return drop_proven(conn, id).await;
    }
    // Gladia says something else, or nobody wants it any more.
    leave_to_operator(conn, id).await.map(|_| ())
}

/// What was waiting for a proof has it, late or not: the fetched body is what is kept.
async fn drop_proven(conn: &mut PgConnection, id: AttemptId) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE callbacks SET outcome = 'superseded', reason = NULL, body = NULL
        WHERE attempt_id = $1
          AND (coalesce(outcome, '') = 'unproven' OR coalesce(outcome, '') = 'quarantined' AND reason = $2)
        ",
        id.0,
        NOT_CONFIRMED,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Has a job that failed for want of a result say that there may be one.
pub(in crate::db) async fn tell_of_kept(
    conn: &mut PgConnection,
    id: JobId,
    message: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE jobs SET error_message = $2
        WHERE id = $1 AND coalesce(status, '') = 'error' AND error_type = 'result_missing' AND deleted_at IS NULL
        ",
        id.0,
        message,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// What a caller is told of a job that failed for want of a result. `is_lost`: Gladia does not have it any more; else its
/// time is up. `is_kept`: an operator has a success that Gladia did not confirm.
pub(in crate::db) fn why_missing(is_lost: bool, is_kept: bool) -> &'static str {
    match (is_lost, is_kept) {
        (true, false) => {
            "Gladia accepted the transcription, delivered no result and does not have it any more."
        }
        (false, false) => "Gladia accepted the transcription and delivered no result in time.",
        (true, true) => {
            "Gladia accepted the transcription and does not have it any more. A callback with a result is kept that could not \
             be proven: an operator can carry it out."
        }
        (false, true) => {
            "Gladia accepted the transcription. A callback with a result is kept that could not be proven in time: an operator \
             can carry it out."
        }
    }
}
