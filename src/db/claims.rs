//! The claim: jobs, each with a slot and an attempt, in one commit, before anything is sent.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{
    events::{self, EventType},
    lines::{self, NextJob},
};
use crate::domain::{
    expected::{count_features, expected_within},
    ids::{AttemptId, JobId},
    plain_json,
    trace_context::TraceContext,
};

/// How long an attempt may hold its slot. Gladia keeps trying for two hours; the margin covers its clock and the callback's way.
pub(super) const SLOT_DEADLINE: Duration = Duration::from_mins(2 * 60 + 15);

/// How long after its claim a job may be sent, with the longest window that may be set.
pub(super) const LONGEST_SEND_WINDOW: Duration = Duration::from_mins(1);

/// How long a lease may last, with the longest window and create timeout that may be set.
pub(super) const LONGEST_LEASE: Duration = Duration::from_secs(60 + 60 + 10);

/// How many jobs one claim takes at most. [`lines::take_next`] repeats it as `LIMIT 16`.
pub const MAX_CLAIMED: usize = 16;

/// What the claiming process brings along.
#[derive(Debug)]
pub struct Claimant<'a> {
    /// The ids of the attempts that are to be: as many jobs are claimed, if there are slots for them.
    pub attempt_ids: &'a [AttemptId],
    /// Which callback key will sign.
    pub key_id: &'a str,
    /// The name of the process.
    pub worker: &'a str,
    /// The process sends nothing later than this after the claim, unless it stands still between its last look at the clock and the
    /// write.
    pub send_window: Duration,
    /// After this the process is taken for dead.
    pub lease: Duration,
    /// Whether the claim was asked to be committed and its answer is not here: it may stand, though it has failed.
    pub is_in_doubt: AtomicBool,
}

/// What came of a claim.
#[derive(Debug)]
pub enum Claim {
    /// Jobs to submit, now.
    Claimed(Vec<ClaimedJob>),
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
    /// `{"options": …, "extra_options": …}`; or why that cannot be read.
    pub request: serde_json::Result<Value>,
    /// How long it may take at Gladia until it is overdue, from this claim.
    pub expected_within: Duration,
    /// Which attempt of the job it is, from 1.
    pub attempt_number: i32,
    /// Since when it waited: its acceptance or retry, or the end of the attempt before.
    pub waited_since: DateTime<Utc>,
    /// When it was claimed.
    pub claimed_at: DateTime<Utc>,
    /// Whether it goes ahead alone, to find out whether Gladia accepts anything again.
    pub goes_alone: bool,
    /// The span that all this belongs below.
    pub trace: Option<TraceContext>,
}

/// How often a claim looks again when the lines it expected jobs in turn out to be empty, since those were canceled.
const MOST_LOOKS: usize = 64;

/// Claims the next jobs, one for each free slot and id.
///
/// Serves the tenant that holds the fewest slots, then the one longest unserved, and each tenant's jobs in the order in which
/// they were queued. The cost follows the number of tenants of whom it is not known that more waits, not the size of
/// their backlog nor how much has left it.
///
/// # Errors
/// Where the database does not answer.
pub async fn claim(conn: &mut PgConnection, claimant: &Claimant<'_>) -> sqlx::Result<Claim> {
    for _ in 0..MOST_LOOKS {
        if let Some(claim) = try_claim(conn, claimant).await? {
            return Ok(claim);
        }
    }
    Ok(Claim::NothingQueued)
}

/// One look. `None`: the lines that were marked as waiting were empty; others may not be.
async fn try_claim(
    conn: &mut PgConnection,
    claimant: &Claimant<'_>,
) -> sqlx::Result<Option<Claim>> {
    // Most looks are for nothing, and all claims wait for the lock that follows.
    if !lines::is_any_queued(conn).await? {
        return Ok(Some(Claim::NothingQueued));
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
        return Ok(Some(Claim::Paused {
            remaining: Duration::from_secs_f64(seconds),
        }));
    }

    // After a failure one job goes ahead alone, until Gladia has accepted one. Asked in a statement of its own: the one
    // above may have waited for another claim, and would not see what that one did.
    let goes_alone = dispatch.failures > 0;
    if goes_alone && is_any_submitting(&mut tx).await? {
        return Ok(Some(Claim::NoFreeSlot));
    }
    let wanted = if goes_alone {
        1
    } else {
        claimant.attempt_ids.len().min(MAX_CLAIMED)
    };
    let slots = lock_free_slots(&mut tx, dispatch.max_in_flight, wanted).await?;
    if slots.is_empty() {
        return Ok(Some(Claim::NoFreeSlot));
    }
    let jobs = lines::take_next(&mut tx, slots.len()).await?;
    if jobs.is_empty() {
        // What was found out about the lines holds for the next look.
        tx.commit().await?;
        return Ok(None);
    }

    let attempts = add_attempts(&mut tx, claimant, &jobs).await?;
    take_slots(&mut tx, &slots, claimant.attempt_ids, &jobs).await?;
    lines::note_served(&mut tx, &jobs).await?;
    let job_ids: Vec<JobId> = jobs.iter().map(|job| job.id.into()).collect();
    events::insert_all(&mut tx, &job_ids, EventType::Submitting).await?;
    claimant.is_in_doubt.store(true, Ordering::Relaxed);
    tx.commit().await?;
    claimant.is_in_doubt.store(false, Ordering::Relaxed);
    let claimed = jobs.into_iter().zip(attempts).map(|(job, attempt)| {
        // Each by itself, and outside of the lock: one that cannot be read is nobody else's concern.
        let request = plain_json::from_str(&job.request);
        let features = request.as_ref().map_or(0, count_features);
        ClaimedJob {
            job_id: job.id.into(),
            attempt_id: attempt.id.into(),
            audio_url: job.audio_url,
            request,
            expected_within: expected_within(job.audio_duration_seconds, features),
            attempt_number: attempt.number,
            waited_since: attempt
                .earlier_finished_at
                .map_or(job.queued_at, |finished_at| finished_at.max(job.queued_at)),
            claimed_at: attempt.created_at,
            goes_alone,
            trace: TraceContext::from_stored(job.traceparent.as_deref(), job.tracestate.as_deref()),
        }
    });
    Ok(Some(Claim::Claimed(claimed.collect())))
}

/// Of these attempts, those that stand and wait to be sent.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_submitting(
    conn: &mut PgConnection,
    ids: &[AttemptId],
) -> sqlx::Result<Vec<AttemptId>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"
        SELECT a.id FROM unnest($1::uuid[]) AS claimed (id)
        CROSS JOIN LATERAL (SELECT id, state FROM attempts WHERE id = claimed.id OFFSET 0) a
        WHERE a.state = 'submitting'
        "#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.id.into()).collect())
}

/// Finds slots for so many jobs, or fewer. Nobody else takes them meanwhile.
async fn lock_free_slots(
    conn: &mut PgConnection,
    max_in_flight: i32,
    wanted: usize,
) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar!(
        "
        SELECT number FROM slots
        WHERE attempt_id IS NULL AND number <= $1
        ORDER BY number
        -- After the cap was lowered, slots above it may be held still. Until they have drained, each keeps one below it free.
        OFFSET (SELECT count(*) FROM slots WHERE number > $1 AND attempt_id IS NOT NULL) LIMIT $2
        FOR UPDATE
        ",
        max_in_flight,
        i64::try_from(wanted).unwrap_or(i64::MAX),
    )
    .fetch_all(conn)
    .await
}

/// A new attempt, and when the one before it ended.
struct NewAttempt {
    id: Uuid,
    number: i32,
    created_at: DateTime<Utc>,
    earlier_finished_at: Option<DateTime<Utc>>,
}

/// Adds an attempt of each job, in their order.
async fn add_attempts(
    conn: &mut PgConnection,
    claimant: &Claimant<'_>,
    jobs: &[NextJob],
) -> sqlx::Result<Vec<NewAttempt>> {
    let ids: Vec<Uuid> = claimant.attempt_ids.iter().map(|id| id.0).collect();
    let job_ids: Vec<Uuid> = jobs.iter().map(|job| job.id).collect();
    sqlx::query_as!(
        NewAttempt,
        r#"
        WITH claimed AS MATERIALIZED (
            SELECT c.id, c.job_id, c.nth, earlier.attempts, earlier.finished_at
            FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS c (id, job_id, nth)
            CROSS JOIN LATERAL (
                SELECT count(*) AS attempts, max(finished_at) AS finished_at FROM attempts WHERE job_id = c.job_id
            ) earlier
            -- There may be more ids than jobs.
            WHERE c.job_id IS NOT NULL
        ), added AS (
            INSERT INTO attempts (id, job_id, number, state, key_id, worker, send_until, lease_until)
            SELECT id, job_id, 1 + attempts, 'submitting', $3, $4,
                   gateway_now() + make_interval(secs => $5), gateway_now() + make_interval(secs => $6)
            FROM claimed ORDER BY nth
            RETURNING id, number, created_at
        )
        SELECT id AS "id!", added.number AS "number!", added.created_at AS "created_at!",
               claimed.finished_at AS earlier_finished_at
        FROM added JOIN claimed USING (id) ORDER BY claimed.nth
        "#,
        &ids,
        &job_ids,
        claimant.key_id,
        claimant.worker,
        claimant.send_window.as_secs_f64(),
        claimant.lease.as_secs_f64(),
    )
    .fetch_all(conn)
    .await
}

/// Has each job's attempt hold a slot.
async fn take_slots(
    conn: &mut PgConnection,
    slots: &[i32],
    attempt_ids: &[AttemptId],
    jobs: &[NextJob],
) -> sqlx::Result<()> {
    let attempt_ids: Vec<Uuid> = attempt_ids.iter().map(|id| id.0).collect();
    let tenant_ids: Vec<Uuid> = jobs.iter().map(|job| job.tenant_id).collect();
    sqlx::query!(
        "
        UPDATE slots
        SET attempt_id = taken.attempt_id, tenant_id = taken.tenant_id, taken_at = gateway_now(),
            deadline_at = gateway_now() + make_interval(secs => $4)
        FROM unnest($1::integer[], $2::uuid[], $3::uuid[]) AS taken (number, attempt_id, tenant_id)
        -- There may be more slots than jobs.
        WHERE slots.number = taken.number AND taken.tenant_id IS NOT NULL
        ",
        slots,
        &attempt_ids,
        &tenant_ids,
        SLOT_DEADLINE.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|_| ())
}

async fn is_any_submitting(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM attempts WHERE state = 'submitting') AS "any!""#
    )
    .fetch_one(conn)
    .await
}
