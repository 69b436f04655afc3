//! What almost every answer to a create is: Gladia has the job, of which there is nothing else to say.
//!
//! Jobs that are claimed together are answered within milliseconds of each other, and recording each by itself takes a dozen ways
//! to the database. So one statement records as many as there are: it locks what they are about, asks whether all is as it was
//! when they were claimed, and moves attempt and job. Where anything is otherwise for one of them (its callback came first, it
//! was canceled, there was an earlier attempt of it, somebody else is at it), nothing has happened to that one, and it goes the
//! long way ([`adopt_locked`](super::adoption)), which decides.

use std::{collections::HashSet, time::Duration};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{db::events::EventType, domain::ids::AttemptId};

/// That Gladia has an attempt.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Which one.
    pub attempt_id: AttemptId,
    /// Gladia's id of it.
    pub gladia_id: String,
    /// How long it may take until it is overdue, from its claim.
    pub expected_within: Duration,
}

/// Records answers, in one commit. Says of which attempts; with the others there is more to it, and nothing is changed.
///
/// # Errors
/// Where the database does not answer, or refuses one of them, as an id of Gladia's that another attempt has. Then none is
/// recorded.
pub async fn record_answers(
    conn: &mut PgConnection,
    answers: &[Answer],
) -> sqlx::Result<HashSet<AttemptId>> {
    let attempt_ids: Vec<Uuid> = answers.iter().map(|answer| answer.attempt_id.0).collect();
    let gladia_ids: Vec<&str> = answers.iter().map(|one| one.gladia_id.as_str()).collect();
    let expected_within: Vec<f64> = answers
        .iter()
        .map(|answer| answer.expected_within.as_secs_f64())
        .collect();
    let recorded = sqlx::query_scalar!(
        r#"
        WITH given AS MATERIALIZED (
            SELECT g.*, (SELECT gateway_now()) AS now
            FROM unnest($1::uuid[], $2::text[], $3::float8[]) AS g (attempt_id, gladia_id, expected_within_seconds)
        ), job AS MATERIALIZED (
            SELECT j.id, a.id AS attempt_id
            FROM given g
            -- Each by its id, whatever Postgres expects to find.
            CROSS JOIN LATERAL (SELECT id, job_id FROM attempts WHERE id = g.attempt_id OFFSET 0) a
            CROSS JOIN LATERAL (
                SELECT id FROM jobs
                WHERE id = a.job_id AND status = 'submitting' AND NOT discard AND deleted_at IS NULL
                -- Nobody is waited for, since others wait for this.
                FOR UPDATE SKIP LOCKED
            ) j
            -- Counted, so that each is looked up.
            WHERE (SELECT count(*) FROM attempts other WHERE other.gladia_id = g.gladia_id) = 0
              -- Gladia may have an earlier one as well. All there are were committed before this one was sent.
              AND (SELECT count(*) FROM attempts other WHERE other.job_id = a.job_id AND other.id <> a.id) = 0
        ), attempt AS MATERIALIZED (
            -- After the job, in the order of all locks.
            SELECT a.job_id, g.*
            FROM job JOIN given g USING (attempt_id)
            CROSS JOIN LATERAL (
                SELECT job_id FROM attempts
                WHERE id = job.attempt_id AND job_id = job.id
                  -- In words that no index of submitted ones answers to: all of them would be walked through where few were.
                  AND coalesce(state, '') = 'submitting' AND gladia_id IS NULL
                FOR UPDATE SKIP LOCKED
            ) a
        ), accepted AS (
            UPDATE attempts a
            SET state = 'accepted', gladia_id = e.gladia_id, answered_at = e.now,
                expected_by = a.created_at + make_interval(secs => e.expected_within_seconds)
            -- As an array too, here and below, so that no plan joins all of a table that was small when it was planned.
            FROM attempt e WHERE a.id = e.attempt_id AND a.id = ANY (ARRAY(SELECT attempt_id FROM attempt))
        ), processing AS (
            UPDATE jobs j SET status = 'processing', status_reason = NULL, gladia_id = e.gladia_id
            FROM attempt e WHERE j.id = e.job_id AND j.id = ANY (ARRAY(SELECT job_id FROM attempt))
            RETURNING j.id, j.tenant_id, j.status, j.batch_id, e.attempt_id
        ), added AS (
            INSERT INTO events (tenant_id, job_id, type, data)
            SELECT tenant_id, id, $4,
                   -- Nothing has gone wrong yet in the life of such a job.
                   json_strip_nulls(json_build_object('status', status, 'batch_id', batch_id))
            FROM processing ORDER BY id
        )
        SELECT attempt_id AS "attempt_id!" FROM processing
        "#,
        &attempt_ids,
        &gladia_ids as &[&str],
        &expected_within,
        EventType::Processing.as_str(),
    )
    .fetch_all(conn)
    .await?;
    Ok(recorded.into_iter().map(AttemptId).collect())
}
