//! Which deletions are carried out next.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::ids::JobId;

/// The first interval between tries; each is twice the one before.
const FIRST_INTERVAL: Duration = Duration::from_secs(30);

/// The longest.
const LONGEST_INTERVAL: Duration = Duration::from_mins(15);

/// When a deletion whose file another job needs is looked at again, at the earliest.
const SHORTEST_WAIT: Duration = Duration::from_secs(5);

/// How many that are due are looked at for a claim.
const MOST_LOOKED_AT: i64 = 100;

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

/// One claim for each kind, which its own index leads to. The macros of sqlx take literals only.
macro_rules! claim_deletions {
    ($which:tt, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            DueDeletion,
            r#"
            WITH due AS MATERIALIZED (
                SELECT d.gladia_id AS id, d.next_try_at AS due_since, EXISTS (
                           SELECT FROM jobs other
                           WHERE other.upload_id = coalesce(j.upload_id, j.erased_upload_id) AND other.finished_at IS NULL OFFSET 0
                       ) AS must_wait
                FROM upstream_deletions d JOIN jobs j ON j.id = d.job_id
                -- As a value, so that the index ends the walk.
                WHERE d.finished_at IS NULL AND d.next_try_at <= (SELECT gateway_now()) AND "# + $which + r#"
                ORDER BY d.next_try_at LIMIT $4
                FOR UPDATE OF d SKIP LOCKED
            ),
            in_turn AS (
                SELECT id, must_wait, row_number() OVER (PARTITION BY must_wait ORDER BY due_since) AS place FROM due
            ),
            moved AS (
                UPDATE upstream_deletions
                SET tries = CASE WHEN must_wait THEN tries ELSE tries + 1 END,
                    next_try_at = gateway_now() + CASE
                        -- The longer it has been so, the longer it may go on.
                        WHEN must_wait THEN least(greatest((gateway_now() - requested_at) / 4, make_interval(secs => $5)),
                                                  make_interval(secs => $3))
                        ELSE make_interval(secs => least($2 * 2 ^ least(tries, 20), $3)) END
                FROM in_turn WHERE gladia_id = in_turn.id AND (must_wait OR place <= $1)
                RETURNING gladia_id, job_id, reason, requested_at, must_wait
            )
            SELECT gladia_id, job_id, reason, requested_at FROM moved WHERE NOT must_wait
            "#,
            $($argument),*
        )
    };
}

/// Claims deletions that callers have asked for and are due, and those of what Gladia has twice, by moving their next try ahead.
///
/// A surplus is due once its job needs no other result any more, and never where it is the job's own result. Nothing is due whose
/// file another job needs, which has not ended: Gladia may delete the file along with it. It is looked at later, so that it does not
/// stand before others each time, and that counts as no try.
///
/// # Errors
/// Where the database does not answer.
pub async fn claim_asked(conn: &mut PgConnection, limit: usize) -> sqlx::Result<Vec<DueDeletion>> {
    // Along `upstream_deletions_asked`.
    claim_deletions!(
        r#"d.reason <> 'retention'
                  AND (d.reason <> 'surplus' OR j.deleted_at IS NOT NULL OR j.status = 'canceled'
                       OR (j.status = 'done' AND j.gladia_id IS DISTINCT FROM d.gladia_id))"#,
        i64::try_from(limit).unwrap_or(i64::MAX),
        FIRST_INTERVAL.as_secs_f64(),
        LONGEST_INTERVAL.as_secs_f64(),
        MOST_LOOKED_AT,
        SHORTEST_WAIT.as_secs_f64(),
    )
    .fetch_all(conn)
    .await
}

/// Claims deletions of what the retention has erased, likewise. What a version that asked for more than was wanted has left is due
/// where the job says so, or else `retention_deletes` does.
///
/// # Errors
/// Where the database does not answer.
pub async fn claim_of_retention(
    conn: &mut PgConnection,
    retention_deletes: bool,
    limit: usize,
) -> sqlx::Result<Vec<DueDeletion>> {
    // Along `upstream_deletions_due`, past what else is due and cannot be carried out yet.
    claim_deletions!(
        r#"d.reason = 'retention' AND coalesce(j.deletes_at_gladia, $6)"#,
        i64::try_from(limit).unwrap_or(i64::MAX),
        FIRST_INTERVAL.as_secs_f64(),
        LONGEST_INTERVAL.as_secs_f64(),
        MOST_LOOKED_AT,
        SHORTEST_WAIT.as_secs_f64(),
        retention_deletes,
    )
    .fetch_all(conn)
    .await
}
