//! The claim: a job, a slot and an attempt in one commit, before anything is sent.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::events::{self, EventType};
use crate::domain::{
    ids::{AttemptId, JobId},
    trace_context::TraceContext,
};

/// Gladia keeps trying for two hours; the margin covers its clock and the callback's way.
pub(super) const SLOT_DEADLINE: Duration = Duration::from_mins(2 * 60 + 15);

/// What the claiming process brings along.
#[derive(Debug)]
pub struct Claimant<'a> {
    /// The id of the attempt that is to be.
    pub attempt_id: AttemptId,
    /// Which callback key will sign.
    pub key_id: &'a str,
    /// The name of the process.
    pub worker: &'a str,
    /// Nothing is sent later than this after the claim.
    pub send_window: Duration,
    /// After this the process is taken for dead.
    pub lease: Duration,
}

/// What came of a claim.
#[derive(Debug)]
pub enum Claim {
    /// A job to submit, now.
    Claimed(ClaimedJob),
    /// No job waits.
    NothingQueued,
    /// Every slot is held, or one job is finding out whether Gladia accepts anything again.
    NoFreeSlot,
    /// Nothing may be sent at the moment.
    Paused {
        /// For how long.
        remaining: Duration,
    },
}

/// A job with its slot and attempt.
#[derive(Debug)]
pub struct ClaimedJob {
    /// The job.
    pub job_id: JobId,
    /// Its new attempt.
    pub attempt_id: AttemptId,
    /// The audio.
    pub audio_url: String,
    /// `{"options": …, "extra_options": …}`.
    pub request: Value,
    /// Which attempt of the job it is, from 1.
    pub attempt_number: i32,
    /// Since when it waited: its acceptance or retry, or the end of the attempt before.
    pub waited_since: DateTime<Utc>,
    /// When it was claimed.
    pub claimed_at: DateTime<Utc>,
    /// The span that all this belongs below.
    pub trace: Option<TraceContext>,
}

/// Claims the next job.
///
/// Serves the tenant that holds the fewest slots, then the one longest unserved. The cost follows the number of tenants
/// that have something queued, not the size of their backlog.
///
/// # Errors
/// Where the database does not answer.
pub async fn claim(conn: &mut PgConnection, claimant: &Claimant<'_>) -> sqlx::Result<Claim> {
    // Each slot that is given back asks, mostly for nothing: all claims wait for the lock that follows.
    if !is_any_queued(conn).await? {
        return Ok(Claim::NothingQueued);
    }
    let mut tx = conn.begin().await?;
    let dispatch = sqlx::query!(
        r#"
        SELECT max_in_flight,
               (extract(epoch FROM paused_until - gateway_now()))::float8 AS paused_seconds,
               failures
        FROM dispatch
        -- One claim at a time, in all replicas: the cap cannot be passed and fairness is exact.
        FOR NO KEY UPDATE
        "#
    )
    .fetch_one(&mut *tx)
    .await?;
    if let Some(seconds) = dispatch.paused_seconds.filter(|seconds| *seconds > 0.0) {
        return Ok(Claim::Paused {
            remaining: Duration::from_secs_f64(seconds),
        });
    }

    // After a failure one job goes ahead alone, until Gladia has accepted one. Asked in a statement of its own: the one
    // above may have waited for another claim, and would not see what that one did.
    if dispatch.failures > 0 && is_any_submitting(&mut tx).await? {
        return Ok(Claim::NoFreeSlot);
    }
    let slot = sqlx::query!(
        "
        SELECT number FROM slots
        WHERE attempt_id IS NULL AND number <= $1
          -- After the cap was lowered, slots above it may be held still, and count until they have drained.
          AND (SELECT count(*) FROM slots WHERE attempt_id IS NOT NULL) < $1
        ORDER BY number LIMIT 1
        FOR UPDATE
        ",
        dispatch.max_in_flight,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(slot) = slot else {
        return Ok(Claim::NoFreeSlot);
    };
    let Some(job) = next_in_line(&mut tx).await? else {
        return Ok(Claim::NothingQueued);
    };

    let attempt = add_attempt(&mut tx, claimant, job.id).await?;
    sqlx::query!(
        "
        UPDATE slots
        SET attempt_id = $2, tenant_id = $3, taken_at = gateway_now(),
            deadline_at = gateway_now() + make_interval(secs => $4)
        WHERE number = $1
        ",
        slot.number,
        claimant.attempt_id.0,
        job.tenant_id,
        SLOT_DEADLINE.as_secs_f64(),
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE tenants SET last_served_at = gateway_now() WHERE id = $1",
        job.tenant_id
    )
    .execute(&mut *tx)
    .await?;
    let job_id = job.id.into();
    events::insert(&mut tx, job_id, EventType::Submitting).await?;
    tx.commit().await?;
    let waited_since = attempt
        .earlier_finished_at
        .map_or(job.queued_at, |finished_at| finished_at.max(job.queued_at));
    Ok(Claim::Claimed(ClaimedJob {
        job_id,
        attempt_id: claimant.attempt_id,
        audio_url: job.audio_url,
        request: job.request,
        attempt_number: attempt.number,
        waited_since,
        claimed_at: attempt.created_at,
        trace: TraceContext::from_stored(job.traceparent.as_deref(), job.tracestate.as_deref()),
    }))
}

/// A new attempt, and when the one before it ended.
struct NewAttempt {
    number: i32,
    created_at: DateTime<Utc>,
    earlier_finished_at: Option<DateTime<Utc>>,
}

async fn add_attempt(
    conn: &mut PgConnection,
    claimant: &Claimant<'_>,
    job_id: Uuid,
) -> sqlx::Result<NewAttempt> {
    sqlx::query_as!(
        NewAttempt,
        r#"
        WITH earlier AS (
            SELECT count(*) AS attempts, max(finished_at) AS finished_at FROM attempts WHERE job_id = $2
        ), added AS (
            INSERT INTO attempts (id, job_id, number, state, key_id, worker, send_until, lease_until)
            SELECT $1, $2, 1 + attempts, 'submitting', $3, $4,
                   gateway_now() + make_interval(secs => $5), gateway_now() + make_interval(secs => $6)
            FROM earlier
            RETURNING number, created_at
        )
        SELECT number AS "number!", created_at AS "created_at!", finished_at AS earlier_finished_at
        FROM added, earlier
        "#,
        claimant.attempt_id.0,
        job_id,
        claimant.key_id,
        claimant.worker,
        claimant.send_window.as_secs_f64(),
        claimant.lease.as_secs_f64(),
    )
    .fetch_one(conn)
    .await
}

async fn is_any_queued(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query!(r#"SELECT EXISTS (SELECT FROM jobs WHERE status = 'queued') AS "any!""#)
        .fetch_one(conn)
        .await
        .map(|row| row.any)
}

async fn is_any_submitting(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query!(r#"SELECT EXISTS (SELECT FROM attempts WHERE state = 'submitting') AS "any!""#)
        .fetch_one(conn)
        .await
        .map(|row| row.any)
}

/// The columns of a job that is claimed.
struct NextJob {
    id: Uuid,
    tenant_id: Uuid,
    audio_url: String,
    request: Value,
    queued_at: DateTime<Utc>,
    traceparent: Option<String>,
    tracestate: Option<String>,
}

/// Takes the head of the fairest line.
async fn next_in_line(conn: &mut PgConnection) -> sqlx::Result<Option<NextJob>> {
    sqlx::query_as!(
        NextJob,
        r#"
        WITH RECURSIVE waiting AS (
            -- Hops from tenant to tenant along the index: one probe each, whatever their backlog.
            (SELECT tenant_id FROM jobs WHERE status = 'queued' ORDER BY tenant_id LIMIT 1)
            UNION ALL
            SELECT (SELECT j.tenant_id FROM jobs j
                    WHERE j.status = 'queued' AND j.tenant_id > w.tenant_id
                    ORDER BY j.tenant_id LIMIT 1)
            FROM waiting w WHERE w.tenant_id IS NOT NULL
        ),
        fairest AS (
            SELECT w.tenant_id
            FROM waiting w JOIN tenants t ON t.id = w.tenant_id
            ORDER BY (SELECT count(*) FROM slots s WHERE s.tenant_id = w.tenant_id),
                     t.last_served_at NULLS FIRST, t.id
            LIMIT 1
        ),
        head AS (
            SELECT j.id FROM jobs j
            WHERE j.status = 'queued' AND j.tenant_id = (SELECT tenant_id FROM fairest)
            ORDER BY j.queued_at, j.id LIMIT 1
            -- Whoever cancels this very job goes first; the status below is then read anew.
            FOR UPDATE
        )
        UPDATE jobs
        SET status = 'submitting', status_reason = 'submitting', started_at = coalesce(started_at, gateway_now())
        WHERE id = (SELECT id FROM head) AND status = 'queued'
        RETURNING id, tenant_id, audio_url AS "audio_url!", request AS "request!", queued_at, traceparent, tracestate
        "#
    )
    .fetch_optional(conn)
    .await
}
