//! What the tables say of how a job went.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::Job;
use crate::{
    db::{clock, corrupt},
    domain::{
        event::EventType,
        ids::JobId,
        job::JobStatus,
        timeline::{History, RecordedAttempt, RecordedCallback, RecordedSurplus, StepReason},
    },
};

/// So many jobs ahead of one are counted, however many there are.
const MOST_COUNTED: i64 = 10_000;

/// Begins to read the tables as they are at one instant, however many statements that takes.
///
/// # Errors
/// Where the database does not answer.
pub async fn begin_reading(conn: &mut PgConnection) -> sqlx::Result<Transaction<'_, Postgres>> {
    conn.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .await
}

/// Reads what is known of how a job went.
///
/// # Errors
/// Where the database does not answer.
pub async fn read(conn: &mut PgConnection, job: &Job) -> sqlx::Result<History> {
    let now = clock::now(conn).await?;
    let events = sqlx::query!(
        "SELECT type AS event_type, occurred_at FROM events WHERE job_id = $1 ORDER BY position",
        job.id.0
    )
    .fetch_all(&mut *conn)
    .await?;
    // One that a newer replica has written says nothing to this one.
    let mut events: Vec<(EventType, DateTime<Utc>)> = events
        .into_iter()
        .filter_map(|row| Some((row.event_type.parse().ok()?, row.occurred_at)))
        .collect();
    fill_in(conn, job, &mut events).await?;
    Ok(History {
        status_reason: job.status_reason,
        error_type: job.error.as_ref().map(|error| error.kind),
        events,
        attempts: list_attempts(conn, job.id).await?,
        callbacks: list_callbacks(conn, job.id).await?,
        surplus: list_surplus(conn, job.id).await?,
        now,
    })
}

/// Where events are gone with the log's retention, the rows still know when the job began, when Gladia had it last, and when it
/// ended.
async fn fill_in(
    conn: &mut PgConnection,
    job: &Job,
    events: &mut Vec<(EventType, DateTime<Utc>)>,
) -> sqlx::Result<()> {
    let first = events.first().copied();
    if first.is_none_or(|(event, _)| event != EventType::Queued) {
        let mut gone = vec![(EventType::Queued, job.created_at)];
        if let Some(until) = first.map(|(_, at)| at).or(job.finished_at) {
            gone.extend(before_it_ended(conn, job.id, first, until).await?);
        }
        events.splice(0..0, gone);
    }
    let end = match job.status {
        JobStatus::Done => EventType::Done,
        JobStatus::Error => EventType::Error,
        JobStatus::Canceled => EventType::Canceled,
        JobStatus::Queued | JobStatus::Submitting | JobStatus::Unknown | JobStatus::Processing => {
            return Ok(());
        }
    };
    let has_end = events.last().is_some_and(|(event, _)| {
        matches!(
            event,
            EventType::Done | EventType::Error | EventType::Canceled | EventType::Deleted
        )
    });
    if let (Some(at), false) = (job.finished_at, has_end) {
        events.push((end, at));
    }
    Ok(())
}

/// What the last attempt before an instant says of the moves before the first that the log has: of an end, or of what follows
/// one.
async fn before_it_ended(
    conn: &mut PgConnection,
    id: JobId,
    first: Option<(EventType, DateTime<Utc>)>,
    until: DateTime<Utc>,
) -> sqlx::Result<Vec<(EventType, DateTime<Utc>)>> {
    let follows_an_end = match first.map(|(event, _)| event) {
        Some(EventType::Retried) => true,
        None | Some(EventType::Done | EventType::Error | EventType::Canceled) => false,
        Some(_) => return Ok(Vec::new()),
    };
    let attempt = sqlx::query!(
        r#"
        SELECT CASE WHEN gladia_id IS NOT NULL THEN answered_at END AS accepted_at, finished_at
        FROM attempts WHERE job_id = $1 AND created_at <= $2 ORDER BY number DESC LIMIT 1
        "#,
        id.0,
        until,
    )
    .fetch_optional(conn)
    .await?;
    let Some(attempt) = attempt else {
        return Ok(Vec::new());
    };
    let ended_at = attempt.finished_at.filter(|_| follows_an_end);
    let moves = [
        (EventType::Processing, attempt.accepted_at),
        (EventType::Error, ended_at),
    ];
    // What came back may have been faster than the answer to what was sent.
    let told = |(event, at): (_, Option<DateTime<Utc>>)| Some((event, at?.min(until)));
    Ok(moves.into_iter().filter_map(told).collect())
}

/// A reason as a table has it. One that a newer replica has written says nothing to this one.
fn reason(text: Option<String>) -> Option<StepReason> {
    text?.parse().ok()
}

async fn list_attempts(conn: &mut PgConnection, id: JobId) -> sqlx::Result<Vec<RecordedAttempt>> {
    let rows = sqlx::query!(
        r#"
        SELECT number, state, http_status, gladia_id IS NOT NULL AS "is_at_gladia!", settled_by, absent_since
        FROM attempts WHERE job_id = $1 ORDER BY number
        "#,
        id.0,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(RecordedAttempt {
                number: row.number,
                state: row.state.parse().map_err(corrupt)?,
                http_status: row.http_status,
                is_at_gladia: row.is_at_gladia,
                settled_by: reason(row.settled_by),
                absent_since: row.absent_since,
            })
        })
        .collect()
}

async fn list_callbacks(conn: &mut PgConnection, id: JobId) -> sqlx::Result<Vec<RecordedCallback>> {
    let rows = sqlx::query!(
        r#"
        SELECT a.number, c.received_at, c.method = 'GET' AS "was_fetched!", c.outcome
        FROM attempts a JOIN callbacks c ON c.attempt_id = a.id
        WHERE a.job_id = $1 AND c.attempt_id = ANY (ARRAY(SELECT id FROM attempts WHERE job_id = $1))
        ORDER BY c.received_at, c.id
        "#,
        id.0,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RecordedCallback {
            attempt: row.number,
            at: row.received_at,
            was_fetched: row.was_fetched,
            outcome: reason(Some(row.outcome)),
        })
        .collect())
}

async fn list_surplus(conn: &mut PgConnection, id: JobId) -> sqlx::Result<Vec<RecordedSurplus>> {
    let rows = sqlx::query!(
        r#"
        SELECT a.number AS "number?", d.requested_at, d.finished_at, d.outcome
        FROM upstream_deletions d LEFT JOIN attempts a ON a.gladia_id = d.gladia_id
        WHERE d.job_id = $1 AND d.reason = 'surplus' ORDER BY d.requested_at, d.gladia_id
        "#,
        id.0,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RecordedSurplus {
            attempt: row.number,
            noted_at: row.requested_at,
            ended: row.finished_at.map(|at| (at, reason(row.outcome))),
        })
        .collect())
}

/// How many of its tenant's jobs are ahead of one that waits in line: one more than [`MOST_COUNTED`] where there are more.
/// `None` where it does not wait there.
///
/// # Errors
/// Where the database does not answer.
pub async fn count_ahead(conn: &mut PgConnection, job: &Job) -> sqlx::Result<Option<i64>> {
    if job.status != JobStatus::Queued {
        return Ok(None);
    }
    sqlx::query!(
        r#"
        SELECT count(*) AS "ahead!"
        FROM (
            SELECT FROM jobs
            WHERE status = 'queued' AND tenant_id = (SELECT tenant_id FROM jobs WHERE id = $1)
              AND (queued_at, id) < ((SELECT queued_at FROM jobs WHERE id = $1), $1)
            -- From the job on towards the head, where those are that have left.
            ORDER BY queued_at DESC, id DESC LIMIT $2::bigint + 1
        ) ahead
        "#,
        job.id.0,
        MOST_COUNTED,
    )
    .fetch_one(conn)
    .await
    .map(|row| Some(row.ahead))
}
