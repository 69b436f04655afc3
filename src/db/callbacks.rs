//! Callbacks: the body as it came and everything that it changes, in one commit.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{
    attempts::adoption::is_taken,
    corrupt,
    events::{self, EventType},
    upstream_deletions::{self, surplus},
};
use crate::domain::{
    attempt::AttemptState,
    completion::{Before, Completion, Ending, Verdict, decide},
    ids::{AttemptId, CallbackId, JobId},
    trace_context::TraceContext,
    words::words,
};

pub mod called_back;
mod one_statement;
pub mod quarantine;
mod settle;
pub mod to_fetch;
pub mod unproven;

pub use self::one_statement::record_all;
use self::{
    called_back::{CalledBack, RecordedCallback, Tells},
    settle::settle_attempt,
};

/// A verified callback.
#[derive(Debug)]
pub struct ReceivedCallback<'a> {
    /// Our id of it.
    pub id: CallbackId,
    /// The attempt that its URL names.
    pub attempt_id: AttemptId,
    /// `POST` or `PUT` where Gladia delivered it, `GET` where it was fetched.
    pub method: &'a str,
    /// When it came, if that was before now.
    pub received_at: Option<DateTime<Utc>>,
    /// The body.
    pub compressed_body: CompressedBody<'a>,
    /// Its size before that.
    pub body_bytes: i64,
    /// SHA-256 of the body as it came.
    pub body_sha256: [u8; 32],
    /// What it says, or why that could not be read.
    pub completion: Result<&'a Completion, &'a str>,
}

/// A body as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct CompressedBody<'a> {
    /// All of it, as zstd.
    pub zstd: &'a [u8],
    /// The result's part of that, where it has one of its own.
    pub result_frame: Option<ResultFrame>,
}

/// Where the zstd frame that holds the result alone stands among the frames of a body, in compressed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultFrame {
    /// How many bytes stand before it.
    pub start: i32,
    /// How many it has.
    pub length: i32,
}

impl ResultFrame {
    /// From its first byte to the one behind it. `None` beyond what Postgres can hold.
    #[must_use]
    pub fn between(start: usize, end: usize) -> Option<Self> {
        Some(Self {
            start: start.try_into().ok()?,
            length: end.checked_sub(start)?.try_into().ok()?,
        })
    }
}

/// What a callback did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackOutcome {
    /// The job is done.
    Completed,
    /// The job has failed.
    Failed,
    /// The job had its outcome; the body is kept beside it.
    Superseded,
    /// The job was canceled or deleted; the body is not kept.
    Discarded,
    /// The body is kept for somebody to look at.
    Quarantined,
    /// The body is kept, and Gladia is asked whether it is true.
    Unproven,
    /// It is larger than what is read; its result is asked for.
    TooLarge,
    /// It was here before.
    Duplicate,
    /// No attempt has this id.
    UnknownAttempt,
}

impl CallbackOutcome {
    words! {
        /// The name in SQL, logs and metrics.
        as_str(self):
        Completed = "completed",
        Failed = "failed",
        Superseded = "superseded",
        Discarded = "discarded",
        Quarantined = "quarantined",
        Unproven = "unproven",
        TooLarge = "too_large",
        Duplicate = "duplicate",
        UnknownAttempt = "unknown_attempt",
    }
}

/// Keeps a callback and carries out what it means. Where it may tell, others are told with the same commit if
/// that can be.
///
/// # Errors
/// Where the database does not answer. Nothing is changed then, and the callback must not be answered 2xx.
pub async fn record(
    conn: &mut PgConnection,
    callback: &ReceivedCallback<'_>,
    tells: Option<&Tells<'_>>,
) -> sqlx::Result<RecordedCallback> {
    if let Some(recorded) = one_statement::record(conn, callback, tells).await? {
        return Ok(recorded);
    }
    let mut tx = conn.begin().await?;
    // The job's lock comes first: two callbacks of one job are handled one after the other.
    let job = sqlx::query_as!(
        MetJob,
        "
        SELECT id, status, discard, traceparent, tracestate FROM jobs
        WHERE id = (SELECT job_id FROM attempts WHERE id = $1)
        FOR UPDATE
        ",
        callback.attempt_id.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(job) = job else {
        return Ok(CallbackOutcome::UnknownAttempt.into());
    };
    let attempt = sqlx::query_as!(
        MetAttempt,
        r#"
        SELECT state, gladia_id, settled_by, number, finished_at IS NULL AS "is_open!",
               coalesce(answered_at, created_at) AS "waited_since!",
               (extract(epoch FROM least(coalesce($2, gateway_now()), gateway_now())
                                   - coalesce(answered_at, created_at)))::float8 AS "waited_seconds!",
               EXISTS (SELECT FROM attempts other WHERE other.job_id = a.job_id AND other.id <> a.id OFFSET 0) AS "has_siblings!"
        FROM attempts a WHERE id = $1 FOR UPDATE
        "#,
        callback.attempt_id.0,
        callback.received_at,
    )
    .fetch_one(&mut *tx)
    .await?;

    let job_id = JobId::from(job.id);
    let verdict = judge(&mut tx, callback, &job, &attempt).await?;
    let outcome = outcome_of(verdict, job.discard);
    if !insert(&mut tx, callback, outcome, verdict).await? {
        return Ok(CallbackOutcome::Duplicate.into());
    }
    let mut surplus = surplus::NewSurplus::default();
    if let (Ok(completion), false) = (
        callback.completion,
        matches!(verdict, Verdict::Quarantine(_)),
    ) {
        settle_attempt(&mut tx, callback, completion).await?;
        if job.discard || attempt.has_siblings {
            upstream_deletions::reopen(&mut tx, &completion.gladia_id).await?;
        }
        if job.discard {
            upstream_deletions::request_for_erased(&mut tx, job_id).await?;
        }
        match verdict {
            Verdict::Complete => {
                complete_job(&mut tx, job_id, callback.id, completion).await?;
            }
            Verdict::Fail => fail_job(&mut tx, job_id, completion).await?,
            Verdict::Supersede | Verdict::Discard | Verdict::Quarantine(_) => {}
        }
        if callback.method == "GET" {
            let is_confirmed = verdict == Verdict::Complete;
            unproven::end_wait(&mut tx, callback.attempt_id, is_confirmed).await?;
        }
        if attempt.has_siblings {
            surplus = surplus::note(&mut tx, job_id).await?;
        }
    }
    tx.commit().await?;
    surplus.tell(job_id);
    let ends_the_wait = attempt.is_open && !matches!(verdict, Verdict::Quarantine(_));
    Ok(RecordedCallback {
        outcome,
        of: Some(CalledBack {
            job_id,
            attempt_number: attempt.number,
            waited_since: ends_the_wait.then_some(attempt.waited_since),
            waited: Duration::try_from_secs_f64(attempt.waited_seconds).unwrap_or_default(),
            trace: TraceContext::from_stored(job.traceparent.as_deref(), job.tracestate.as_deref()),
        }),
        announced: None,
        reason: verdict.reason(callback.completion.err()).map(Into::into),
    })
}

/// The job that a callback meets, locked.
struct MetJob {
    id: Uuid,
    status: String,
    discard: bool,
    traceparent: Option<String>,
    tracestate: Option<String>,
}

/// The attempt that a callback meets, locked.
struct MetAttempt {
    state: String,
    gladia_id: Option<String>,
    settled_by: Option<String>,
    number: i32,
    is_open: bool,
    waited_since: DateTime<Utc>,
    waited_seconds: f64,
    has_siblings: bool,
}

/// Decides what a callback may change.
async fn judge(
    conn: &mut PgConnection,
    callback: &ReceivedCallback<'_>,
    job: &MetJob,
    attempt: &MetAttempt,
) -> sqlx::Result<Verdict> {
    let Ok(completion) = callback.completion else {
        return Ok(Verdict::Quarantine("it could not be read"));
    };
    let state: AttemptState = attempt.state.parse().map_err(corrupt)?;
    // What an operator has said of it may be a slip, until Gladia has told its end under that id; what comes by the attempt's own
    // address is not.
    let is_said = attempt.settled_by.as_deref() == Some("operator")
        && !matches!(state, AttemptState::Done | AttemptState::Error);
    let gladia_id = attempt.gladia_id.as_deref();
    let gladia_id = gladia_id.filter(|known| !is_said || *known == completion.gladia_id);
    let before = Before {
        job: job.status.parse().map_err(corrupt)?,
        discard: job.discard,
        attempt: state,
        gladia_id,
    };
    if gladia_id.is_none() && is_taken(conn, &completion.gladia_id).await? {
        return Ok(Verdict::Quarantine(
            "the Gladia job that it names belongs to another attempt",
        ));
    }
    Ok(decide(before, completion))
}

fn outcome_of(verdict: Verdict, discard: bool) -> CallbackOutcome {
    match verdict {
        Verdict::Complete => CallbackOutcome::Completed,
        Verdict::Fail => CallbackOutcome::Failed,
        Verdict::Supersede => CallbackOutcome::Superseded,
        Verdict::Discard => CallbackOutcome::Discarded,
        // What must not be kept is not kept for a look either.
        Verdict::Quarantine(_) if discard => CallbackOutcome::Discarded,
        Verdict::Quarantine(_) => CallbackOutcome::Quarantined,
    }
}

/// Adds the row. `false` where the same body for the same attempt is here already. One that was quarantined is carried out
/// when it comes again and can be.
async fn insert(
    conn: &mut PgConnection,
    callback: &ReceivedCallback<'_>,
    outcome: CallbackOutcome,
    verdict: Verdict,
) -> sqlx::Result<bool> {
    let reason = verdict.reason(callback.completion.err());
    let body = (outcome != CallbackOutcome::Discarded).then_some(callback.compressed_body);
    // Results are served from the callbacks that completed their jobs, and no other ones.
    let result_frame = body
        .filter(|_| outcome == CallbackOutcome::Completed)
        .and_then(|body| body.result_frame);
    sqlx::query!(
        "
        INSERT INTO callbacks
            (id, attempt_id, method, outcome, reason, gladia_id, body, body_bytes, body_sha256, received_at,
             result_frame_start, result_frame_length)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, least(coalesce($10, gateway_now()), gateway_now()), $11, $12)
        ON CONFLICT ON CONSTRAINT callbacks_once DO UPDATE
        SET id = excluded.id, outcome = excluded.outcome, reason = excluded.reason,
            gladia_id = excluded.gladia_id, body = excluded.body,
            result_frame_start = excluded.result_frame_start, result_frame_length = excluded.result_frame_length
        WHERE callbacks.outcome IN ('quarantined', 'unproven') AND excluded.outcome <> 'quarantined'
        ",
        callback.id.0,
        callback.attempt_id.0,
        callback.method,
        outcome.as_str(),
        reason,
        callback.completion.ok().map(|completion| completion.gladia_id.as_str()),
        body.map(|body| body.zstd),
        callback.body_bytes,
        &callback.body_sha256[..],
        callback.received_at,
        result_frame.map(|frame| frame.start),
        result_frame.map(|frame| frame.length),
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}

async fn complete_job(
    conn: &mut PgConnection,
    id: JobId,
    callback_id: CallbackId,
    completion: &Completion,
) -> sqlx::Result<()> {
    let Ending::Success {
        audio_duration_seconds,
        billing_time_seconds,
        addon_errors,
    } = &completion.ending
    else {
        return Ok(());
    };
    // As text, since jsonb has no NUL, which may stand in a name of Gladia's.
    let addon_errors = serde_json::to_string(addon_errors).map_err(corrupt)?;
    sqlx::query!(
        "
        UPDATE jobs
        SET status = 'done', status_reason = NULL, finished_at = gateway_now(),
            gladia_id = $2, result_callback_id = $3,
            audio_duration_seconds = $4, billing_time_seconds = $5, addon_errors = $6::text::json,
            error_type = NULL, error_code = NULL, error_message = NULL
        WHERE id = $1 AND status IN ('queued', 'submitting', 'unknown', 'processing', 'error')
        ",
        id.0,
        completion.gladia_id,
        callback_id.0,
        *audio_duration_seconds,
        *billing_time_seconds,
        addon_errors,
    )
    .execute(&mut *conn)
    .await?;
    events::insert(conn, id, EventType::Done).await
}

async fn fail_job(conn: &mut PgConnection, id: JobId, completion: &Completion) -> sqlx::Result<()> {
    let Ending::Failure { code, message } = &completion.ending else {
        return Ok(());
    };
    sqlx::query!(
        "
        UPDATE jobs
        SET status = 'error', status_reason = NULL, finished_at = gateway_now(), gladia_id = $2,
            error_type = 'transcription_failed', error_code = $3, error_message = $4
        WHERE id = $1 AND status IN ('submitting', 'unknown', 'processing')
        ",
        id.0,
        completion.gladia_id,
        *code,
        message,
    )
    .execute(&mut *conn)
    .await?;
    events::insert(conn, id, EventType::Error).await
}
