//! Numbers for metrics that only the rows know, the same for every replica.

use sqlx::PgConnection;

/// What is counted.
#[derive(Debug)]
pub struct Gauges {
    /// Callbacks that were kept without being carried out.
    pub quarantined_callbacks: i64,
    /// Attempts of unknown outcome.
    pub unknown_attempts: i64,
    /// Those of them that wait for an operator.
    pub awaiting_decision: i64,
    /// Jobs that Gladia had twice, ever.
    pub surplus_jobs: i64,
    /// Copies of Gladia's that are still to be deleted.
    pub pending_deletions: i64,
}

/// Counts. Every part follows a partial index over few rows, but for the receipts of surplus jobs, which are few themselves.
///
/// # Errors
/// Where the database does not answer.
pub async fn read(conn: &mut PgConnection) -> sqlx::Result<Gauges> {
    sqlx::query_as!(
        Gauges,
        r#"
        SELECT
            (SELECT count(*) FROM callbacks WHERE outcome = 'quarantined') AS "quarantined_callbacks!",
            (SELECT count(*) FROM attempts WHERE finished_at IS NULL AND state = 'unknown') AS "unknown_attempts!",
            (SELECT count(*) FROM attempts
             WHERE finished_at IS NULL AND state = 'unknown' AND unknown_reason = 'awaiting_decision')
                AS "awaiting_decision!",
            (SELECT count(*) FROM upstream_deletions WHERE reason = 'surplus') AS "surplus_jobs!",
            (SELECT count(*) FROM upstream_deletions WHERE finished_at IS NULL) AS "pending_deletions!"
        "#
    )
    .fetch_one(conn)
    .await
}
