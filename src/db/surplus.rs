//! Jobs that Gladia has twice.
//!
//! It should not happen, and where it does (a process that was frozen between its last look at the clock and the kernel's
//! write, a look-up that lied) it is billed twice. So it is written down, counted, and the copy that is not the job's
//! result is deleted at Gladia once the job has its result.

use sqlx::PgConnection;

use crate::domain::ids::JobId;

/// Notes which of a job's attempts Gladia has besides the one that counts. Called whenever one of several attempts turned
/// out to be known to Gladia; the caller holds the job's lock.
///
/// # Errors
/// Where the database does not answer.
pub async fn note(conn: &mut PgConnection, job_id: JobId) -> sqlx::Result<()> {
    let noted = sqlx::query!(
        "
        INSERT INTO upstream_deletions (gladia_id, job_id, reason)
        SELECT a.gladia_id, a.job_id, 'surplus'
        FROM attempts a JOIN jobs j ON j.id = a.job_id
        WHERE a.job_id = $1 AND a.gladia_id IS NOT NULL AND a.gladia_id IS DISTINCT FROM j.gladia_id
          AND EXISTS (
              SELECT FROM attempts b
              WHERE b.job_id = a.job_id AND b.gladia_id IS NOT NULL
                -- One that had failed before the other was claimed was replaced, not doubled.
                AND (a.number < b.number AND NOT (a.state IN ('error', 'expired') AND a.finished_at <= b.created_at)
                  OR b.number < a.number AND NOT (b.state IN ('error', 'expired') AND b.finished_at <= a.created_at))
          )
        ON CONFLICT (gladia_id) DO NOTHING
        ",
        job_id.0,
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    tell(job_id, noted);
    // Which one counts may have changed: the first success does.
    sqlx::query!(
        "
        DELETE FROM upstream_deletions d USING jobs j
        WHERE d.job_id = $1 AND j.id = $1 AND d.reason = 'surplus' AND d.finished_at IS NULL AND d.gladia_id = j.gladia_id
        ",
        job_id.0,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Notes one that Gladia has besides the job that the attempt already answers for.
///
/// # Errors
/// Where the database does not answer.
pub async fn note_second(
    conn: &mut PgConnection,
    job_id: JobId,
    gladia_id: &str,
) -> sqlx::Result<()> {
    let noted = sqlx::query!(
        "
        INSERT INTO upstream_deletions (gladia_id, job_id, reason) VALUES ($1, $2, 'surplus')
        ON CONFLICT (gladia_id) DO NOTHING
        ",
        gladia_id,
        job_id.0,
    )
    .execute(conn)
    .await?
    .rows_affected();
    tell(job_id, noted);
    Ok(())
}

fn tell(job_id: JobId, noted: u64) {
    if noted > 0 {
        metrics::counter!("gateway_surplus_jobs_total").increment(noted);
        tracing::error!(job.id = %job_id, "Gladia has job {job_id} more than once; the surplus is deleted there once it has ended");
    }
}
