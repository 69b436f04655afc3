//! Pulling back what lies further ahead than it can.
//!
//! The database's clock may have been ahead for a while, or the server that took over is behind the one before. What was written
//! until then would hold for as long as the clock was ahead: nothing is sent, leases of processes that died do not end, receivers
//! are left alone. So each instant that lies further ahead than the longest wait of its kind, and a margin, is brought back to
//! that. Each of these statements finds nothing on all other days.
//!
//! Rows that somebody holds are left for the next time, so no lock is waited for.

use std::time::Duration;

use sqlx::PgConnection;

use super::claims::{LONGEST_LEASE, LONGEST_SEND_WINDOW, SLOT_DEADLINE};
use crate::domain::{
    backoff::LONGEST_PAUSE,
    delivery_schedule::{LEASE, longest_retry_delays},
    settling::LOOK_HOLD,
};

/// How many rows of a table are pulled back at once.
const AT_ONCE: i64 = 1000;

/// The longest that a delivery is put off which was not tried yet: what it is to say cannot be made out.
const LONGEST_UNTRIED_REST: Duration = Duration::from_mins(1);

/// The longest that Gladia is not asked for what it has accepted, nor to delete it, nor about a webhook: a quarter of an hour, with
/// the most jitter.
const LONGEST_REST: Duration = Duration::from_mins(20);

/// Pulls back what lies too far ahead. Returns how much that was, and whether there may be more.
///
/// `settling_time`: how long looks for attempts of unknown outcome are apart follows from it.
///
/// # Errors
/// Where the database does not answer.
pub async fn pull_back(
    conn: &mut PgConnection,
    settling_time: Duration,
) -> sqlx::Result<(u64, bool)> {
    // One that fails does not stop the others.
    let tried = [
        pull_dispatch(conn).await,
        pull_slots(conn).await,
        pull_open_attempts(conn, settling_time).await,
        pull_ended_attempts(conn).await,
        pull_lines(conn).await,
        pull_queued_jobs(conn).await,
        pull_look_ups(conn).await,
        pull_leased_deliveries(conn).await,
        pull_lanes(conn).await,
        pull_untried_deliveries(conn).await,
        pull_upstream_deletions(conn).await,
        pull_webhook_messages(conn).await,
    ];
    let pulled = tried.into_iter().collect::<sqlx::Result<Vec<u64>>>()?;
    let most = u64::try_from(AT_ONCE).unwrap_or(u64::MAX);
    let is_more = pulled.iter().any(|rows| *rows >= most);
    Ok((pulled.iter().sum(), is_more))
}

async fn pull_dispatch(conn: &mut PgConnection) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        UPDATE dispatch SET paused_until = gateway_now() + make_interval(secs => $1)
        WHERE paused_until > gateway_now() + make_interval(secs => $1, mins => 1)
        ",
        LONGEST_PAUSE.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

async fn pull_slots(conn: &mut PgConnection) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        UPDATE slots SET deadline_at = gateway_now() + make_interval(secs => $1)
        WHERE number = ANY (ARRAY(
            SELECT number FROM slots
            WHERE deadline_at > gateway_now() + make_interval(secs => $1, mins => 1)
            LIMIT $2 FOR UPDATE SKIP LOCKED))
        ",
        SLOT_DEADLINE.as_secs_f64(),
        AT_ONCE,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

async fn pull_open_attempts(conn: &mut PgConnection, settling_time: Duration) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        WITH far AS MATERIALIZED (
            SELECT a.id, gateway_now() + make_interval(secs => $1) AS send_until,
                   gateway_now() + make_interval(secs => $2) AS lease_until,
                   CASE WHEN a.next_look_at IS NOT NULL THEN gateway_now() + rest.longest
                        -- Its first look goes by when it was accepted.
                        WHEN a.state = 'accepted' AND a.created_at > gateway_now() + interval '1 minute'
                        THEN gateway_now() END AS next_look_at
            FROM attempts a
            CROSS JOIN LATERAL (
                SELECT CASE WHEN a.state <> 'unknown' THEN make_interval(secs => $3)
                            WHEN a.unknown_reason = 'awaiting_decision' THEN interval '1 hour'
                            ELSE greatest(make_interval(secs => $4), (gateway_now() - a.send_until) / 8) END AS longest
            ) rest
            WHERE a.finished_at IS NULL
              AND (a.send_until > gateway_now() + make_interval(secs => $1, mins => 1)
                   OR a.lease_until > gateway_now() + make_interval(secs => $2, mins => 1)
                   OR a.next_look_at > gateway_now() + rest.longest + interval '1 minute'
                   OR a.next_look_at IS NULL AND a.state = 'accepted'
                      AND a.created_at > gateway_now() + interval '1 minute')
            LIMIT $5 FOR UPDATE OF a SKIP LOCKED
        )
        UPDATE attempts a
        SET send_until = least(a.send_until, far.send_until),
            lease_until = least(a.lease_until, far.lease_until),
            next_look_at = least(a.next_look_at, far.next_look_at)
        FROM far WHERE a.id = far.id AND a.id = ANY (ARRAY(SELECT id FROM far))
        ",
        // Whatever it was: nothing of it leaves later than that.
        LONGEST_SEND_WINDOW.as_secs_f64(),
        LONGEST_LEASE.as_secs_f64(),
        LONGEST_REST.as_secs_f64(),
        (settling_time * 5).as_secs_f64(),
        AT_ONCE,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// Those that Gladia turned out to have.
async fn pull_ended_attempts(conn: &mut PgConnection) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        UPDATE attempts SET next_look_at = gateway_now() + make_interval(secs => $1)
        WHERE id = ANY (ARRAY(
            SELECT id FROM attempts
            WHERE next_look_at > (SELECT gateway_now() + make_interval(secs => $1, mins => 1))
              AND finished_at IS NOT NULL
            LIMIT $2 FOR UPDATE SKIP LOCKED))
        ",
        LONGEST_REST.as_secs_f64(),
        AT_ONCE,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// A tenant that was served last by a clock that was ahead would come after all others.
async fn pull_lines(conn: &mut PgConnection) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        UPDATE lines SET last_served_at = gateway_now()
        WHERE tenant_id = ANY (ARRAY(
            SELECT tenant_id FROM lines WHERE last_served_at > gateway_now() + interval '1 minute'
            LIMIT $1 FOR UPDATE SKIP LOCKED))
        ",
        AT_ONCE,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// A job that was queued by a clock that was ahead would wait behind all that its tenant queues until then. Those of a line keep
/// their order, and come before what is queued from now on.
async fn pull_queued_jobs(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let pulled = sqlx::query!(
        r#"
        WITH clock AS MATERIALIZED (
            SELECT gateway_now() AS now
        ), held AS MATERIALIZED (
            SELECT line.tenant_id FROM lines line
            CROSS JOIN LATERAL (
                SELECT FROM jobs j
                WHERE j.status = 'queued' AND j.tenant_id = line.tenant_id
                  AND j.queued_at > (SELECT now + interval '1 minute' FROM clock)
                ORDER BY j.queued_at, j.id LIMIT 1
            ) head
            FOR UPDATE OF line SKIP LOCKED
        ), far AS MATERIALIZED (
            SELECT one.id, row_number() OVER (PARTITION BY one.tenant_id ORDER BY one.queued_at DESC, one.id DESC) AS from_last
            FROM (
                SELECT waiting.id, waiting.tenant_id, waiting.queued_at
                FROM (SELECT tenant_id FROM held
                      UNION ALL
                      -- Nobody of theirs was served yet.
                      SELECT t.id FROM tenants t
                      WHERE NOT EXISTS (SELECT FROM lines l WHERE l.tenant_id = t.id OFFSET 0)
                        AND (SELECT true FROM jobs j
                             WHERE j.status = 'queued' AND j.tenant_id = t.id
                               AND j.queued_at > (SELECT now + interval '1 minute' FROM clock)
                             ORDER BY j.queued_at, j.id LIMIT 1)) line
                CROSS JOIN LATERAL (
                    SELECT j.id, j.tenant_id, j.queued_at FROM jobs j
                    WHERE j.status = 'queued' AND j.tenant_id = line.tenant_id
                      -- Also what is less far ahead, which comes before the others.
                      AND j.queued_at > (SELECT now FROM clock)
                    ORDER BY j.queued_at, j.id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
                ) waiting
                LIMIT $1
            ) one
        ), pulled AS (
            UPDATE jobs SET queued_at = clock.now - far.from_last * interval '1 microsecond'
            FROM far, clock
            WHERE jobs.id = far.id AND jobs.id = ANY (ARRAY(SELECT id FROM far))
            RETURNING jobs.tenant_id, jobs.queued_at
        ), returned AS (
            UPDATE lines l SET queued_from = least(l.queued_from, first.queued_at), returns = returns + 1
            FROM (SELECT tenant_id, min(queued_at) AS queued_at FROM pulled GROUP BY tenant_id) first
            WHERE l.tenant_id = first.tenant_id
        )
        SELECT count(*) AS "jobs!" FROM pulled
        "#,
        AT_ONCE,
    )
    .fetch_one(conn)
    .await?;
    Ok(u64::try_from(pulled.jobs).unwrap_or_default())
}

async fn pull_look_ups(conn: &mut PgConnection) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        UPDATE look_ups SET held_until = gateway_now() + make_interval(secs => $1)
        WHERE held_until > gateway_now() + make_interval(secs => $1, mins => 1)
        ",
        LOOK_HOLD.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

async fn pull_leased_deliveries(conn: &mut PgConnection) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        UPDATE deliveries
        SET lease_until = gateway_now() + make_interval(secs => $1),
            next_try_at = least(next_try_at, gateway_now() + make_interval(secs => $1))
        WHERE id = ANY (ARRAY(
            SELECT id FROM deliveries
            WHERE status = 'pending' AND lease_until IS NOT NULL
              AND lease_until > gateway_now() + make_interval(secs => $1, mins => 1)
            LIMIT $2 FOR UPDATE SKIP LOCKED))
        ",
        LEASE.as_secs_f64(),
        AT_ONCE,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// How long a delivery is put off may be up to its receiver, and says nothing. But a lane to which something was sent at an
/// instant that is still to come is one of a clock that has gone back.
async fn pull_lanes(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let delays: Vec<f64> = longest_retry_delays()
        .map(|delay| delay.as_secs_f64())
        .collect();
    let deliveries = sqlx::query!(
        "
        WITH lanes AS MATERIALIZED (
            SELECT id FROM delivery_lanes
            WHERE greatest(last_failure_at, last_success_at) > gateway_now() + interval '1 minute'
        )
        UPDATE deliveries
        -- One that was never tried is due.
        SET next_try_at = gateway_now() + make_interval(secs => coalesce(($1::double precision[])[tries], 0))
        WHERE id = ANY (ARRAY(
            SELECT far.id FROM lanes
            CROSS JOIN LATERAL (
                SELECT d.id FROM deliveries d
                WHERE d.lane_id = lanes.id AND d.status = 'pending' AND d.lease_until IS NULL
                  AND d.next_try_at > (SELECT gateway_now() + interval '1 minute')
                  AND d.next_try_at > gateway_now()
                      + make_interval(secs => coalesce(($1::double precision[])[d.tries], 0), mins => 1)
                ORDER BY d.next_try_at DESC LIMIT $2 FOR UPDATE SKIP LOCKED
            ) far
            LIMIT $2))
        ",
        &delays,
        AT_ONCE,
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if deliveries >= u64::try_from(AT_ONCE).unwrap_or(u64::MAX) {
        return Ok(deliveries);
    }
    let lanes = sqlx::query!(
        "
        UPDATE delivery_lanes
        -- For as long as it was from the failure on.
        SET open_until = CASE WHEN last_failure_at > gateway_now()
                              THEN open_until - (last_failure_at - gateway_now()) ELSE open_until END,
            failing_since = CASE WHEN failing_since > gateway_now() THEN gateway_now() ELSE failing_since END,
            last_failure_at = CASE WHEN last_failure_at > gateway_now() THEN gateway_now() ELSE last_failure_at END,
            last_success_at = CASE WHEN last_success_at > gateway_now() THEN gateway_now() ELSE last_success_at END
        WHERE id = ANY (ARRAY(
            SELECT id FROM delivery_lanes
            WHERE greatest(last_failure_at, last_success_at) > gateway_now() + interval '1 minute'
            LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED))
        ",
        AT_ONCE,
    )
    .execute(conn)
    .await?
    .rows_affected();
    Ok(deliveries + lanes)
}

/// One that was made by a clock that was ahead and was never tried is due, also where its lane was sent nothing meanwhile.
async fn pull_untried_deliveries(conn: &mut PgConnection) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        UPDATE deliveries SET next_try_at = gateway_now()
        WHERE id = ANY (ARRAY(
            SELECT far.id FROM tenants t
            CROSS JOIN LATERAL (
                SELECT d.id FROM deliveries d
                WHERE d.tenant_id = t.id AND d.status = 'pending'
                  -- Nothing else is, so that nothing that only waits is walked past.
                  AND d.created_at > (SELECT gateway_now() + interval '1 minute')
                  AND d.tries = 0 AND d.lease_until IS NULL
                  AND d.next_try_at > gateway_now() + make_interval(secs => $1, mins => 1)
                ORDER BY d.created_at DESC, d.id DESC LIMIT $2 FOR UPDATE SKIP LOCKED
            ) far
            LIMIT $2))
        ",
        LONGEST_UNTRIED_REST.as_secs_f64(),
        AT_ONCE,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

async fn pull_upstream_deletions(conn: &mut PgConnection) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        UPDATE upstream_deletions SET next_try_at = gateway_now() + make_interval(secs => $1)
        WHERE gladia_id = ANY (ARRAY(
            SELECT gladia_id FROM upstream_deletions
            WHERE finished_at IS NULL
              AND next_try_at > (SELECT gateway_now() + make_interval(secs => $1, mins => 1))
            LIMIT $2 FOR UPDATE SKIP LOCKED))
        ",
        LONGEST_REST.as_secs_f64(),
        AT_ONCE,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

async fn pull_webhook_messages(conn: &mut PgConnection) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        UPDATE webhook_messages SET next_try_at = gateway_now() + make_interval(secs => $1)
        WHERE id = ANY (ARRAY(
            SELECT id FROM webhook_messages
            WHERE finished_at IS NULL
              AND next_try_at > (SELECT gateway_now() + make_interval(secs => $1, mins => 1))
            LIMIT $2 FOR UPDATE SKIP LOCKED))
        ",
        LONGEST_REST.as_secs_f64(),
        AT_ONCE,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}
