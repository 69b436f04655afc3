//! Jobs that Gladia has twice.
//!
//! It should not happen, and where it does (a process that was frozen between its last look at the clock and the kernel's
//! write, a look-up that lied) it is billed twice. So it is written down, counted, and the copy that is not the job's
//! result is deleted at Gladia once the job has its result. The same where a caller's retry doubled it; only that is no
//! mistake.

use sqlx::PgConnection;

use crate::domain::ids::JobId;

/// What was noted in a transaction. It is told once that is committed: what does not stand is not counted, and what is tried
/// again is counted once.
#[derive(Debug, Default)]
#[must_use = "what stands is told after the commit"]
pub struct NewSurplus {
    by_mistake: u64,
    of_retry: u64,
}

/// Notes which of a job's attempts Gladia has besides the one that counts. Called whenever one of several attempts turned
/// out to be known to Gladia; the caller holds the job's lock.
///
/// # Errors
/// Where the database does not answer.
pub async fn note(conn: &mut PgConnection, job_id: JobId) -> sqlx::Result<NewSurplus> {
    let noted = sqlx::query!(
        r#"
        WITH accepted AS MATERIALIZED (
            -- By themselves: else a plan may walk through all that Gladia has ever had, in the order of their ids.
            SELECT job_id, gladia_id, number, state, created_at, finished_at FROM attempts
            WHERE job_id = $1 AND gladia_id IS NOT NULL
        ), doubled AS (
            SELECT a.gladia_id,
                   bool_and(EXISTS (
                       SELECT FROM events e
                       WHERE e.job_id = a.job_id AND e.type = 'transcription.retried'
                         AND e.occurred_at BETWEEN least(a.created_at, b.created_at) AND greatest(a.created_at, b.created_at)
                   )) AS is_of_retry
            FROM accepted a JOIN jobs j ON j.id = a.job_id CROSS JOIN accepted b
            WHERE a.gladia_id IS DISTINCT FROM j.gladia_id
              -- One that had failed before the other was claimed was replaced, not doubled.
              AND (a.number < b.number AND NOT (a.state IN ('error', 'expired') AND a.finished_at <= b.created_at)
                OR b.number < a.number AND NOT (b.state IN ('error', 'expired') AND b.finished_at <= a.created_at))
            GROUP BY a.gladia_id
        ),
        noted AS (
            INSERT INTO upstream_deletions (gladia_id, job_id, reason)
            SELECT gladia_id, $1, 'surplus' FROM doubled
            ON CONFLICT (gladia_id) DO NOTHING
            RETURNING gladia_id
        )
        SELECT count(*) FILTER (WHERE is_of_retry) AS "of_retry!", count(*) FILTER (WHERE NOT is_of_retry) AS "by_mistake!"
        FROM noted JOIN doubled USING (gladia_id)
        "#,
        job_id.0,
    )
    .fetch_one(&mut *conn)
    .await?;
    // Which one counts may have changed: the first success does.
    sqlx::query!(
        "
        DELETE FROM upstream_deletions
        WHERE gladia_id = (SELECT gladia_id FROM jobs WHERE id = $1)
          AND job_id = $1 AND reason = 'surplus' AND finished_at IS NULL
        ",
        job_id.0,
    )
    .execute(conn)
    .await?;
    Ok(NewSurplus {
        by_mistake: noted.by_mistake.try_into().unwrap_or_default(),
        of_retry: noted.of_retry.try_into().unwrap_or_default(),
    })
}

/// Notes one that Gladia has besides the job that the attempt already answers for.
///
/// # Errors
/// Where the database does not answer.
pub async fn note_second(
    conn: &mut PgConnection,
    job_id: JobId,
    gladia_id: &str,
) -> sqlx::Result<NewSurplus> {
    sqlx::query!(
        "
        INSERT INTO upstream_deletions (gladia_id, job_id, reason) VALUES ($1, $2, 'surplus')
        ON CONFLICT (gladia_id) DO NOTHING
        ",
        gladia_id,
        job_id.0,
    )
    .execute(conn)
    .await
    .map(|done| NewSurplus {
        by_mistake: done.rows_affected(),
        of_retry: 0,
    })
}

impl NewSurplus {
    /// Counts what Gladia has of a job more than once, and says so. After the commit.
    pub fn tell(self, job_id: JobId) {
        if self.by_mistake > 0 {
            count(self.by_mistake, "false");
            tracing::error!(job.id = %job_id, "Gladia has job {job_id} more than once; the surplus is deleted there once it has ended");
        }
        // What a retry may cost, its caller was told, and agreed. So nobody has to look into it.
        if self.of_retry > 0 {
            count(self.of_retry, "true");
            tracing::info!(job.id = %job_id, "Gladia has job {job_id} more than once, because it was retried; the surplus is deleted there once it has ended");
        }
    }
}

fn count(noted: u64, by_retry: &'static str) {
    metrics::counter!("gateway_surplus_jobs_total", "by_retry" => by_retry).increment(noted);
}
