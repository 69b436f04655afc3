//! Successes that wait for their proof, and of which nobody asks Gladia.
//!
//! Versions that took a delivered failure, or Gladia's silence, for the end of the asking left them, and leave them while they run
//! beside this one. Others stay behind where a job is canceled, or gets its result by another callback that needs no proof.

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{leave_to_operator, tell_of_kept, why_missing};
use crate::{
    db::{attempts::lock, callbacks::to_fetch::ask_at_once},
    domain::{
        cursor::Cursor,
        ids::{AttemptId, CallbackId},
    },
};

/// How many callbacks one step of the walk looks at.
const PAGE: usize = 1000;

/// What one step of the walk has found.
#[derive(Debug)]
pub struct Page {
    /// Attempts that are to be attended to.
    pub unasked: Vec<AttemptId>,
    /// Where the next step begins. `None`: the walk is at its end.
    pub goes_on_after: Option<Cursor<CallbackId>>,
}

/// Goes on with the walk through what is kept apart.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(
    conn: &mut PgConnection,
    after: Option<Cursor<CallbackId>>,
) -> sqlx::Result<Page> {
    let rows = sqlx::query!(
        r#"
        WITH page AS MATERIALIZED (
            -- Along the index of all that is kept apart, however much of that is something else.
            SELECT id, attempt_id, received_at, outcome, gladia_id FROM callbacks
            WHERE outcome IN ('quarantined', 'too_large', 'unproven')
              AND (received_at, id) > (coalesce($1, '-infinity'::timestamptz), $2)
            ORDER BY received_at, id LIMIT $3
        )
        SELECT id, received_at, attempt_id,
               outcome = 'unproven' AND EXISTS (
                   SELECT FROM attempts a
                   WHERE a.id = page.attempt_id AND a.finished_at IS NOT NULL AND a.next_look_at IS NULL
                     -- Another job's callback says nothing of this attempt's. It stays for people to see.
                     AND coalesce(page.gladia_id, a.gladia_id) = a.gladia_id
                   OFFSET 0
               ) AS "is_unasked!"
        FROM page ORDER BY received_at, id
        "#,
        after.map(|after| after.created_at),
        after.map_or(Uuid::nil(), |after| after.id.0),
        i64::try_from(PAGE).unwrap_or(i64::MAX),
    )
    .fetch_all(conn)
    .await?;
    let last = rows.last().filter(|_| rows.len() == PAGE);
    Ok(Page {
        goes_on_after: last.map(|row| Cursor {
            created_at: row.received_at,
            id: row.id.into(),
        }),
        unasked: rows
            .iter()
            .filter(|row| row.is_unasked)
            .map(|row| row.attempt_id.into())
            .collect(),
    })
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attended {
    /// There was nothing to do any more.
    Nothing,
    /// Gladia is asked.
    Asked,
    /// Nothing waits for a proof any more.
    Left {
        /// Whether a success that Gladia has not confirmed waits for an operator now.
        is_kept: bool,
    },
}

/// Has Gladia asked for an attempt of which a success waits in vain. Where that would change nothing, since Gladia has told another
/// end, or the job needs no result any more, or `zero_data_retention`, it waits no more.
///
/// # Errors
/// Where the database does not answer.
pub async fn attend(
    conn: &mut PgConnection,
    id: AttemptId,
    zero_data_retention: bool,
) -> sqlx::Result<Attended> {
    let mut tx = conn.begin().await?;
    let Some(locked) = lock(&mut tx, id).await? else {
        return Ok(Attended::Nothing);
    };
    let wait = sqlx::query!(
        r#"
        SELECT a.finished_at IS NOT NULL AND a.next_look_at IS NULL AND kept.since IS NOT NULL AS "is_unasked!",
               a.state = 'done' OR j.status = 'done' OR j.discard
               OR EXISTS (SELECT FROM callbacks told
                          WHERE told.attempt_id = a.id AND told.method = 'GET' AND coalesce(told.outcome, '') <> 'quarantined'
                            AND told.received_at >= kept.since
                          OFFSET 0) AS "is_over!"
        FROM attempts a
        CROSS JOIN LATERAL (SELECT status, discard FROM jobs WHERE id = a.job_id OFFSET 0) j
        CROSS JOIN LATERAL (
            SELECT max(c.received_at) AS since FROM callbacks c
            -- In words that no index of what is kept apart answers to.
            WHERE c.attempt_id = a.id AND coalesce(c.outcome, '') = 'unproven'
              AND coalesce(c.gladia_id, a.gladia_id) = a.gladia_id
        ) kept
        WHERE a.id = $1
        "#,
        id.0,
    )
    .fetch_one(&mut *tx)
    .await?;
    if !wait.is_unasked {
        return Ok(Attended::Nothing);
    }
    let attended = if wait.is_over || zero_data_retention {
        let is_kept = leave_to_operator(&mut tx, id).await?;
        if is_kept {
            let message = why_missing(false, is_kept);
            tell_of_kept(&mut tx, locked.job_id, message).await?;
        }
        Attended::Left { is_kept }
    } else {
        ask_at_once(&mut tx, id).await?;
        Attended::Asked
    };
    tx.commit().await?;
    Ok(attended)
}
