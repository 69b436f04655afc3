//! What an erased job takes with it.

use sqlx::PgConnection;

use crate::domain::ids::JobId;

/// Forgets what receivers answered to the events of a job, and gives up its callbacks, which would tell its content. The
/// caller holds the job's lock.
///
/// # Errors
/// Where the database does not answer.
pub async fn erase_of_job(conn: &mut PgConnection, id: JobId) -> sqlx::Result<()> {
    // Whoever records a try of one of them has done so before, or will see that the job is erased.
    sqlx::query!(
        "SELECT id FROM deliveries WHERE job_id = $1 ORDER BY id FOR NO KEY UPDATE",
        id.0
    )
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query!(
        "
        UPDATE deliveries
        SET status = 'dead', dead_reason = 'transcription_deleted', finished_at = gateway_now(),
            lease_until = NULL, worker = NULL
        WHERE job_id = $1 AND endpoint_id IS NULL AND status = 'pending'
        ",
        id.0,
    )
    .execute(&mut *conn)
    .await?;
    // An answer may repeat what it was sent.
    sqlx::query!(
        "
        UPDATE delivery_attempts SET response_start = NULL
        WHERE delivery_id = ANY (ARRAY(SELECT id FROM deliveries WHERE job_id = $1)) AND response_start IS NOT NULL
        ",
        id.0,
    )
    .execute(conn)
    .await
    .map(|_| ())
}
