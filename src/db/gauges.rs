//! Numbers for metrics that only the rows know, the same for every replica.

use sqlx::PgConnection;

/// So many of what may be without bound are counted. More take longer than whoever asks for metrics waits.
pub const MOST_COUNTED: i64 = 100_000;

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
    /// Copies of Gladia's that are still to be deleted: one more than [`MOST_COUNTED`] where there are more.
    pub pending_deletions: i64,
    /// Jobs that wait for a slot: one more than [`MOST_COUNTED`] where there are more.
    pub queued_jobs: i64,
    /// Jobs that are being sent.
    pub submitting_jobs: i64,
    /// Jobs that may or may not be at Gladia.
    pub unknown_jobs: i64,
    /// Jobs that Gladia is at work on.
    pub processing_jobs: i64,
    /// How long the first in line has waited. `None`: the line is empty.
    pub oldest_queued_seconds: Option<f64>,
    /// Events that nobody has been told of yet.
    pub unnumbered_events: i64,
    /// Deliveries that have not got through yet: one more than [`MOST_COUNTED`] where there are more.
    pub pending_deliveries: i64,
    /// How long the oldest of them has waited, of those that are counted and of each tenant's first. `None`: there are none.
    pub oldest_pending_delivery_seconds: Option<f64>,
    /// Receivers that nothing is sent to for the moment.
    pub open_lanes: i64,
    /// How many transactions have begun to write since the oldest snapshot was taken that is still open, whoever has it. `None`: the
    /// server does not tell this role what others do.
    pub oldest_snapshot_transactions: Option<i32>,
}

/// Counts. Every part follows a partial index over few rows, whatever lies behind; but for what waits in line, to be delivered or
/// to be deleted at Gladia, of which so many are looked at and no more, and for the receipts of surplus jobs, which are few
/// themselves.
///
/// # Errors
/// Where the database does not answer.
pub async fn read(conn: &mut PgConnection) -> sqlx::Result<Gauges> {
    sqlx::query_as!(
        Gauges,
        r#"
        SELECT
            -- What was erased with its job, or dismissed, is nobody's concern any more.
            (SELECT count(*) FROM callbacks WHERE outcome = 'quarantined' AND body IS NOT NULL AND dismissed_at IS NULL)
                AS "quarantined_callbacks!",
            (SELECT count(*) FROM attempts WHERE finished_at IS NULL AND state = 'unknown') AS "unknown_attempts!",
            (SELECT count(*) FROM attempts
             WHERE finished_at IS NULL AND state = 'unknown' AND unknown_reason = 'awaiting_decision')
                AS "awaiting_decision!",
            (SELECT count(*) FROM upstream_deletions WHERE reason = 'surplus') AS "surplus_jobs!",
            (SELECT count(*) FROM (SELECT FROM upstream_deletions WHERE finished_at IS NULL
                                   ORDER BY next_try_at LIMIT $1::bigint + 1) few) AS "pending_deletions!",
            line.jobs AS "queued_jobs!", line.oldest_seconds AS oldest_queued_seconds,
            sent.submitting AS "submitting_jobs!", sent.unknown AS "unknown_jobs!", sent.processing AS "processing_jobs!",
            (SELECT count(*) FROM events
             -- In the words of the index that has them.
             WHERE number IS NULL
               AND type NOT IN ('transcription.submitting', 'transcription.requeued', 'transcription.unknown'))
                AS "unnumbered_events!",
            outbox.deliveries AS "pending_deliveries!", outbox.oldest_seconds AS oldest_pending_delivery_seconds,
            -- As a value, so that the index ends the walk.
            (SELECT count(*) FROM delivery_lanes WHERE open_until > (SELECT gateway_now())) AS "open_lanes!",
            (SELECT CASE WHEN NOT coalesce(bool_or(is_hidden), false) THEN coalesce(max(transactions), 0) END
             FROM (
                 -- Sessions, and standbys that tell what they look at. Who has no name is at work for the server itself.
                 SELECT greatest(age(backend_xid), age(backend_xmin)) AS transactions,
                        query = '<insufficient privilege>' AS is_hidden
                 FROM pg_stat_activity
                 WHERE usesysid IS NOT NULL AND pid <> pg_backend_pid()
                   AND (datid IS NULL OR datid = (SELECT oid FROM pg_database WHERE datname = current_database()))
                 UNION ALL
                 SELECT age(xmin), false FROM pg_replication_slots
                 UNION ALL
                 SELECT age(transaction), false FROM pg_prepared_xacts WHERE database = current_database()
             ) open) AS oldest_snapshot_transactions
        FROM
            (SELECT (SELECT count(*) FROM (SELECT FROM jobs WHERE status = 'queued' ORDER BY tenant_id LIMIT $1::bigint + 1) few) AS jobs,
                    (SELECT (extract(epoch FROM gateway_now() - min(head.queued_at)))::float8
                     FROM tenants t CROSS JOIN LATERAL (
                         SELECT queued_at FROM jobs WHERE tenant_id = t.id AND status = 'queued'
                         ORDER BY queued_at, id LIMIT 1
                     ) head) AS oldest_seconds) line,
            -- Whoever has left the line and not ended has an open attempt, of which there are no more than slots.
            (SELECT count(*) FILTER (WHERE j.status = 'submitting') AS submitting,
                    count(*) FILTER (WHERE j.status = 'unknown') AS unknown,
                    count(*) FILTER (WHERE j.status = 'processing') AS processing
             FROM attempts a CROSS JOIN LATERAL (SELECT status FROM jobs WHERE id = a.job_id OFFSET 0) j
             WHERE a.finished_at IS NULL) sent,
            (SELECT few.deliveries, (extract(epoch FROM gateway_now() - least(few.oldest_at, first.oldest_at)))::float8
                    AS oldest_seconds
             FROM (SELECT count(*) AS deliveries, min(queued_at) AS oldest_at
                   FROM (SELECT queued_at FROM deliveries WHERE status = 'pending' ORDER BY lane_id LIMIT $1::bigint + 1) pending) few,
                  (SELECT min(head.queued_at) AS oldest_at
                   FROM tenants t CROSS JOIN LATERAL (
                       SELECT queued_at FROM deliveries WHERE tenant_id = t.id AND status = 'pending'
                       ORDER BY created_at, id LIMIT 1
                   ) head) first) outbox
        "#,
        MOST_COUNTED,
    )
    .fetch_one(conn)
    .await
}
