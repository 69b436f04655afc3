//! Gladia's copies that are to be deleted. A row stays as the receipt.
//!
//! They are asked for in the commit that erases a job, and carried out later by whichever process claims them. A claim
//! only moves the time of the next try: a process that dies after it has cost one interval.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::ids::JobId;

/// The first interval between tries; each is twice the one before.
const FIRST_INTERVAL: Duration = Duration::from_secs(30);

/// The longest.
const LONGEST_INTERVAL: Duration = Duration::from_mins(15);

/// After this long a refusal is the last word. Gladia is at work on a job for two hours at most.
const GIVEN_UP_AFTER: Duration = Duration::from_hours(7 * 24);

/// Asks for the deletion of everything that Gladia is known to have of an erased job. Where the job is not erased, or its
/// erasure left Gladia's copy alone (`deletes_at_gladia`), nothing happens; so whoever learns that Gladia has one of a job's
/// attempts may call this. The caller holds the job's lock.
///
///
/// # Errors
/// Where the database does not answer.
pub async fn request_for_erased(conn: &mut PgConnection, job_id: JobId) -> sqlx::Result<()> {
    sqlx::query!(
        "
        INSERT INTO upstream_deletions AS d (gladia_id, job_id, reason)
        SELECT a.gladia_id, a.job_id, CASE WHEN j.erased_by = 'retention' THEN 'retention' ELSE 'deleted' END
        FROM attempts a JOIN jobs j ON j.id = a.job_id
        WHERE j.id = $1 AND j.deleted_at IS NOT NULL AND j.erased_by IS NOT NULL AND a.gladia_id IS NOT NULL
          -- A version that did not note it let a caller's deletion go on to Gladia, and the retention's where it was set so.
          AND coalesce(j.deletes_at_gladia, j.erased_by = 'request' OR EXISTS (
              SELECT FROM upstream_deletions u WHERE u.job_id = j.id AND u.reason = 'retention' OFFSET 0))
        -- A surplus is deleted all the same, for another reason from now on.
        ON CONFLICT (gladia_id) DO UPDATE
        SET reason = excluded.reason, requested_at = gateway_now(), next_try_at = gateway_now(), tries = 0
        WHERE d.finished_at IS NULL AND d.reason = 'surplus' AND excluded.reason = 'deleted'
        ",
        job_id.0,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Takes back all deletions that came with an erasure: for an account that has zero data retention by now, which deletes nothing
/// for anybody.
///
/// # Errors
/// Where the database does not answer.
pub async fn take_back(conn: &mut PgConnection) -> sqlx::Result<u64> {
    sqlx::query!(
        "DELETE FROM upstream_deletions WHERE finished_at IS NULL AND reason IN ('deleted', 'retention')"
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// A deletion to carry out now.
#[derive(Debug)]
pub struct DueDeletion {
    /// What to delete.
    pub gladia_id: String,
    /// Whose it is.
    pub job_id: JobId,
    /// `deleted`, `retention` or `surplus`.
    pub reason: String,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
}

/// Claims deletions that are due, by moving their next try ahead.
///
/// A surplus is due once its job needs no other result any more, and never where it is the job's own result. What a version that
/// asked for more than was wanted has left of a retention is due where the job says so, or else `retention_deletes` does.
///
/// # Errors
/// Where the database does not answer.
pub async fn claim(
    conn: &mut PgConnection,
    retention_deletes: bool,
    limit: i64,
) -> sqlx::Result<Vec<DueDeletion>> {
    sqlx::query_as!(
        DueDeletion,
        r#"
        WITH due AS MATERIALIZED (
            SELECT d.gladia_id AS id
            FROM upstream_deletions d JOIN jobs j ON j.id = d.job_id
            WHERE d.finished_at IS NULL AND d.next_try_at <= gateway_now()
              AND (d.reason <> 'surplus' OR j.deleted_at IS NOT NULL OR j.status = 'canceled'
                   OR (j.status = 'done' AND j.gladia_id IS DISTINCT FROM d.gladia_id))
              AND (d.reason <> 'retention' OR coalesce(j.deletes_at_gladia, $4))
            ORDER BY d.next_try_at LIMIT $1
            FOR UPDATE OF d SKIP LOCKED
        )
        UPDATE upstream_deletions
        SET tries = tries + 1,
            next_try_at = gateway_now() + make_interval(secs => least($2 * 2 ^ least(tries, 20), $3))
        FROM due WHERE gladia_id = due.id
        RETURNING gladia_id, job_id, reason, requested_at
        "#,
        limit,
        FIRST_INTERVAL.as_secs_f64(),
        LONGEST_INTERVAL.as_secs_f64(),
        retention_deletes,
    )
    .fetch_all(conn)
    .await
}

/// How a deletion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletionOutcome {
    /// Gladia has deleted it.
    Deleted,
    /// Gladia did not have it any more.
    AlreadyGone,
}

impl DeletionOutcome {
    /// The name in SQL, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::AlreadyGone => "already_gone",
        }
    }
}

/// Writes the receipt.
///
/// # Errors
/// Where the database does not answer.
pub async fn finish(
    conn: &mut PgConnection,
    gladia_id: &str,
    outcome: DeletionOutcome,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE upstream_deletions SET outcome = $2, finished_at = gateway_now()
        WHERE gladia_id = $1 AND finished_at IS NULL
        ",
        gladia_id,
        outcome.as_str(),
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Gives a deletion up that Gladia has refused, where it was asked for long ago. `false` where it is tried again.
///
/// # Errors
/// Where the database does not answer.
pub async fn give_up_if_old(conn: &mut PgConnection, gladia_id: &str) -> sqlx::Result<bool> {
    sqlx::query!(
        "
        UPDATE upstream_deletions SET outcome = 'given_up', finished_at = gateway_now()
        WHERE gladia_id = $1 AND finished_at IS NULL AND requested_at <= gateway_now() - make_interval(secs => $2)
        ",
        gladia_id,
        GIVEN_UP_AFTER.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}
