//! What a callback makes of its attempt.

use sqlx::PgConnection;

use super::ReceivedCallback;
use crate::{
    db::dispatch,
    domain::{
        attempt::AttemptState,
        completion::{Completion, Ending},
    },
};

/// Ends the attempt, takes Gladia's id from the callback where Gladia had not told it, and gives the slot back. Of a success it
/// also keeps what Gladia bills, whatever becomes of the result: each is billed.
pub(super) async fn settle_attempt(
    conn: &mut PgConnection,
    callback: &ReceivedCallback<'_>,
    completion: &Completion,
) -> sqlx::Result<()> {
    let (state, audio_duration_seconds, billing_time_seconds) = match completion.ending {
        Ending::Success {
            audio_duration_seconds,
            billing_time_seconds,
            ..
        } => (
            AttemptState::Done,
            audio_duration_seconds,
            billing_time_seconds,
        ),
        Ending::Failure { .. } => (AttemptState::Error, None, None),
    };
    // What was fetched is Gladia's own word; of what was delivered, a failure proves no more than a success does.
    let may_be_contradicted = state == AttemptState::Error && callback.method != "GET";
    sqlx::query!(
        "
        UPDATE attempts
        -- A success is the last word on any attempt, and a failure on any that has not succeeded. One that was taken for not
        -- sent, or refused, ends only now.
        SET state = $2,
            finished_at = CASE WHEN state IN ('not_sent', 'refused') THEN gateway_now()
                               ELSE coalesce(finished_at, gateway_now()) END,
            settled_by = CASE WHEN gladia_id = $3 THEN settled_by ELSE 'callback' END,
            gladia_id = $3,
            -- Gladia is still asked for a success of which that is to be the proof, or the result.
            next_look_at = CASE WHEN $6 AND EXISTS (
                SELECT FROM callbacks c
                WHERE c.attempt_id = $1
                  -- In words that no index of what is kept apart answers to. One that was too large and is not asked for any more
                  -- was fetched, or given up.
                  AND (coalesce(c.outcome, '') = 'unproven'
                       OR coalesce(c.outcome, '') = 'too_large' AND coalesce(c.gladia_id, $3) = $3
                          AND (attempts.finished_at IS NULL OR attempts.next_look_at IS NOT NULL))
            ) THEN coalesce(next_look_at, gateway_now()) END,
            unknown_reason = NULL,
            audio_duration_seconds = $4, billing_time_seconds = $5
        WHERE id = $1 AND state <> 'done'
        ",
        callback.attempt_id.0,
        state.as_str(),
        completion.gladia_id,
        audio_duration_seconds,
        billing_time_seconds,
        may_be_contradicted,
    )
    .execute(&mut *conn)
    .await?;
    dispatch::free_slot(conn, callback.attempt_id).await
}
