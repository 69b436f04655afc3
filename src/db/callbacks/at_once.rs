//! What almost every callback is: the first one of a job that Gladia is known to have, and of which there is one attempt.
//!
//! Callers wait for it, and each statement is a way to the database and back. So it takes two, neither of them within a
//! transaction: what it meets is read without a lock, and one statement locks it, asks whether it is still so, and
//! changes it. Where anything is otherwise, nothing has happened, and the callback goes the long way.

use std::time::Duration;

use sqlx::PgConnection;

use super::{CallbackOutcome, ReceivedCallback};
use crate::{
    db::{
        called_back::{CalledBack, Recorded},
        corrupt,
        events::EventType,
    },
    domain::{
        completion::{Before, Completion, Ending, Verdict, decide},
        trace_context::TraceContext,
    },
};

/// Keeps a callback and ends its job. `None`: there is more to it, and nothing is changed.
pub(super) async fn record(
    conn: &mut PgConnection,
    callback: &ReceivedCallback<'_>,
) -> sqlx::Result<Option<Recorded>> {
    let Ok(completion) = callback.completion else {
        return Ok(None);
    };
    let found = sqlx::query!(
        r#"
        SELECT j.id AS job_id, j.status, j.traceparent, j.tracestate, a.state, a.gladia_id, a.number,
               coalesce(a.answered_at, a.created_at) AS "waited_since!",
               (extract(epoch FROM least(coalesce($2, gateway_now()), gateway_now())
                                   - coalesce(a.answered_at, a.created_at)))::float8 AS "waited_seconds!"
        FROM attempts a JOIN jobs j ON j.id = a.job_id
        WHERE a.id = $1 AND a.finished_at IS NULL AND a.gladia_id IS NOT NULL AND NOT j.discard
          AND NOT EXISTS (SELECT FROM callbacks c WHERE c.attempt_id = $1)
          AND NOT EXISTS (SELECT FROM attempts other WHERE other.job_id = a.job_id AND other.id <> $1)
        "#,
        callback.attempt_id.0,
        callback.received_at,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(found) = found else {
        return Ok(None);
    };
    let before = Before {
        job: found.status.parse().map_err(corrupt)?,
        discard: false,
        attempt: found.state.parse().map_err(corrupt)?,
        gladia_id: found.gladia_id.as_deref(),
    };
    let ended = match decide(before, completion) {
        Verdict::Complete => Ended::done(completion)?,
        Verdict::Fail => Ended::failed(completion),
        Verdict::Supersede | Verdict::Discard | Verdict::Quarantine(_) => None,
    };
    let Some(ended) = ended else {
        return Ok(None);
    };
    let before = (found.status.as_str(), found.state.as_str());
    if !write(conn, callback, completion, before, &ended).await? {
        return Ok(None);
    }
    Ok(Some(Recorded {
        outcome: ended.outcome,
        of: Some(CalledBack {
            job_id: found.job_id.into(),
            attempt_number: found.number,
            waited_since: Some(found.waited_since),
            waited: Duration::try_from_secs_f64(found.waited_seconds).unwrap_or_default(),
            trace: TraceContext::from_stored(
                found.traceparent.as_deref(),
                found.tracestate.as_deref(),
            ),
        }),
    }))
}

/// How a job ends, as its row says it.
#[derive(Debug)]
struct Ended<'a> {
    outcome: CallbackOutcome,
    /// Also the attempt's state.
    status: &'static str,
    event: EventType,
    audio_duration_seconds: Option<f64>,
    billing_time_seconds: Option<f64>,
    /// As text, since jsonb has no NUL, which may stand in a name of Gladia's.
    addon_errors: Option<String>,
    error_type: Option<&'static str>,
    error_code: Option<i32>,
    error_message: Option<&'a str>,
}

impl<'a> Ended<'a> {
    fn done(completion: &'a Completion) -> sqlx::Result<Option<Self>> {
        let Ending::Success {
            audio_duration_seconds,
            billing_time_seconds,
            addon_errors,
        } = &completion.ending
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            outcome: CallbackOutcome::Completed,
            status: "done",
            event: EventType::Done,
            audio_duration_seconds: *audio_duration_seconds,
            billing_time_seconds: *billing_time_seconds,
            addon_errors: Some(serde_json::to_string(addon_errors).map_err(corrupt)?),
            error_type: None,
            error_code: None,
            error_message: None,
        }))
    }

    fn failed(completion: &'a Completion) -> Option<Self> {
        let Ending::Failure { code, message } = &completion.ending else {
            return None;
        };
        Some(Self {
            outcome: CallbackOutcome::Failed,
            status: "error",
            event: EventType::Error,
            audio_duration_seconds: None,
            billing_time_seconds: None,
            addon_errors: None,
            error_type: Some("transcription_failed"),
            error_code: *code,
            error_message: Some(message),
        })
    }
}

/// Changes everything, if job and attempt are as they were; or nothing. Whether it did.
async fn write(
    conn: &mut PgConnection,
    callback: &ReceivedCallback<'_>,
    completion: &Completion,
    (job_status, attempt_state): (&str, &str),
    ended: &Ended<'_>,
) -> sqlx::Result<bool> {
    let body = callback.compressed_body;
    let result_frame = body
        .result_frame
        .filter(|_| ended.outcome == CallbackOutcome::Completed);
    let written = sqlx::query!(
        "
        WITH job AS MATERIALIZED (
            SELECT id FROM jobs
            WHERE id = (SELECT job_id FROM attempts WHERE id = $1) AND status = $2 AND NOT discard
            FOR UPDATE
        ), attempt AS MATERIALIZED (
            -- After the job, in the order of all locks.
            SELECT id, job_id, gateway_now() AS now FROM attempts
            WHERE id = $1 AND job_id = (SELECT id FROM job) AND state = $3 AND finished_at IS NULL AND gladia_id = $4
            FOR UPDATE
        ), kept AS (
            -- The same body, at the same time, is refused by its constraint, and everything with it.
            INSERT INTO callbacks
                (id, attempt_id, method, outcome, gladia_id, body, body_bytes, body_sha256, received_at,
                 result_frame_start, result_frame_length)
            SELECT $5, id, $6, $7, $4, $8, $9, $10, least(coalesce($11, now), now), $12, $13
            FROM attempt
            RETURNING received_at
        ), settled AS (
            UPDATE attempts
            SET state = $14, finished_at = (SELECT now FROM attempt), next_look_at = NULL, unknown_reason = NULL,
                audio_duration_seconds = $15, billing_time_seconds = $16
            WHERE id = (SELECT id FROM attempt)
        ), freed AS (
            UPDATE slots SET attempt_id = NULL, tenant_id = NULL, taken_at = NULL, deadline_at = NULL
            WHERE attempt_id = (SELECT id FROM attempt)
        ), ended AS (
            UPDATE jobs
            SET status = $14, status_reason = NULL, finished_at = (SELECT now FROM attempt), gladia_id = $4,
                result_callback_id = CASE WHEN $14 = 'done' THEN $5 END,
                audio_duration_seconds = CASE WHEN $14 = 'done' THEN $15 ELSE audio_duration_seconds END,
                billing_time_seconds = CASE WHEN $14 = 'done' THEN $16 ELSE billing_time_seconds END,
                addon_errors = CASE WHEN $14 = 'done' THEN $17::text::json ELSE addon_errors END,
                error_type = $18, error_code = $19, error_message = $20
            WHERE id = (SELECT job_id FROM attempt)
            RETURNING id, tenant_id, status, status_reason, error_type, error_code, batch_id
        )
        INSERT INTO events (tenant_id, job_id, type, data)
        SELECT tenant_id, id, $21,
               json_strip_nulls(json_build_object(
                   'status', status, 'status_reason', status_reason, 'error_type', error_type,
                   'error_code', error_code, 'batch_id', batch_id,
                   'received_at', received_at))
        -- Both, so that what was received was so before what it ended.
        FROM ended CROSS JOIN kept
        ",
        callback.attempt_id.0,
        job_status,
        attempt_state,
        completion.gladia_id,
        callback.id.0,
        callback.method,
        ended.outcome.as_str(),
        body.zstd,
        callback.body_bytes,
        &callback.body_sha256[..],
        callback.received_at,
        result_frame.map(|frame| frame.start),
        result_frame.map(|frame| frame.length),
        ended.status,
        ended.audio_duration_seconds,
        ended.billing_time_seconds,
        ended.addon_errors,
        ended.error_type,
        ended.error_code,
        ended.error_message,
        ended.event.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(written.rows_affected() == 1)
}
