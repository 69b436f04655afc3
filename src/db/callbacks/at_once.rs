//! What almost every callback is: the first one of a job that Gladia is known to have, and of which there is one attempt.
//!
//! Callers wait for it, and each statement is a way to the database and back. So it takes two, neither of them within a
//! transaction: what it meets is read without a lock, and one statement locks it, asks whether it is still so, and
//! changes it. Where anything is otherwise, nothing has happened, and the callback goes the long way.
//!
//! The same statement numbers the event and makes its deliveries, if nobody else numbers events at that moment and none
//! waits: it does what the sequencer would do next, in a commit that is made anyway. Under load it is left to the sequencer,
//! which takes many events at once.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{CallbackOutcome, ReceivedCallback};
use crate::{
    db::{
        self,
        called_back::{Announced, CalledBack, Recorded, Tells},
        corrupt,
        deliveries::{FannedOut, LANE_WIDTH, origin_of},
        events::{EventRow, EventType, Numbered, known_types},
    },
    domain::{
        completion::{Before, Completion, Ending, Verdict, decide},
        event::EventId,
        ids::{DeliveryId, LaneId, TenantId},
        trace_context::TraceContext,
    },
};

/// Keeps a callback and ends its job. `None`: there is more to it, and nothing is changed.
pub(super) async fn record(
    conn: &mut PgConnection,
    callback: &ReceivedCallback<'_>,
    tells: Option<&Tells<'_>>,
) -> sqlx::Result<Option<Recorded>> {
    let Ok(completion) = callback.completion else {
        return Ok(None);
    };
    let found = sqlx::query!(
        r#"
        SELECT j.id AS job_id, j.status, j.traceparent, j.tracestate, a.state, a.gladia_id, a.number,
               coalesce(a.answered_at, a.created_at) AS "waited_since!",
               (extract(epoch FROM least(coalesce($2, gateway_now()), gateway_now())
                                   - coalesce(a.answered_at, a.created_at)))::float8 AS "waited_seconds!",
               j.tenant_id, j.callback,
               (SELECT count(*) FROM webhook_endpoints w
                WHERE w.tenant_id = j.tenant_id AND w.status = 'enabled') AS "endpoints!"
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
    let audience = tells.map_or_else(ExpectedAudience::default, |tells| {
        let tenant_id = found.tenant_id.into();
        ExpectedAudience::new(tells, tenant_id, found.endpoints, found.callback.as_ref())
    });
    let written = write(conn, callback, completion, before, &ended, &audience).await;
    let written = match written {
        // Whatever keeps others from being told is for the sequencer to deal with, and no reason not to keep a callback.
        Err(error)
            if audience.is_told && !db::is_unavailable(&error) && !db::is_conflict(&error) =>
        {
            tracing::warn!(%error, "An event could not be numbered at once; it is left to the sequencer");
            let nobody = ExpectedAudience::default();
            write(conn, callback, completion, before, &ended, &nobody).await
        }
        written => written,
    };
    let Some(written) = written? else {
        return Ok(None);
    };
    Ok(Some(Recorded {
        announced: written.announced(found.job_id, ended.event),
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

/// Who is to be told, as far as it is known before the event is written.
#[derive(Debug, Default)]
struct ExpectedAudience<'a> {
    /// Whether they may be told at once.
    is_told: bool,
    /// As many as there may be deliveries.
    delivery_ids: Vec<Uuid>,
    /// Scheme, host and port of the caller's own callback.
    callback_origin: Option<String>,
    /// To whom deliveries are leased, for how long, and how many at most.
    worker: Option<&'a str>,
    lease: Duration,
    room: i64,
}

impl<'a> ExpectedAudience<'a> {
    fn new(
        tells: &Tells<'a>,
        tenant_id: TenantId,
        endpoints: i64,
        callback: Option<&Value>,
    ) -> Self {
        let Ok(callback_origin) = callback.map(origin_of).transpose() else {
            return Self::default();
        };
        // One for the callback.
        let deliveries = 0..=endpoints;
        Self {
            is_told: true,
            delivery_ids: deliveries
                .map(|_| tells.ids.next::<DeliveryId>().0)
                .collect(),
            callback_origin,
            worker: tells.worker,
            lease: tells.lease,
            room: tells
                .worker
                .map_or(0, |_| (tells.room)(tenant_id))
                .try_into()
                .unwrap_or(i64::MAX),
        }
    }
}

/// The event that was written.
struct Written {
    /// `None`: the sequencer is to give it one.
    number: Option<i64>,
    tenant_id: Uuid,
    occurred_at: DateTime<Utc>,
    data: Option<Value>,
    /// In which lanes deliveries of it were made that are to be claimed.
    lane_ids: Vec<Uuid>,
    /// The deliveries that are leased.
    leased_ids: Vec<Uuid>,
}

impl Written {
    fn announced(self, job_id: Uuid, event: EventType) -> Option<Announced> {
        let number = self.number?;
        let event = EventRow {
            number,
            tenant_id: self.tenant_id,
            job_id: Some(job_id),
            endpoint_id: None,
            event_type: event.as_str().to_owned(),
            occurred_at: self.occurred_at,
            data: self.data,
        };
        Some(Announced {
            numbered: Numbered {
                after: EventId(number - 1),
                through: EventId(number),
                events: event.understood().into_iter().collect(),
                audiences: Vec::new(),
                has_more: false,
            },
            made: FannedOut {
                count: self.lane_ids.len(),
                lanes: self.lane_ids.into_iter().map(LaneId).collect(),
            },
            leased: self.leased_ids.into_iter().map(DeliveryId).collect(),
        })
    }
}

/// Changes everything, if job and attempt are as they were; or nothing.
#[expect(clippy::too_many_lines, reason = "one statement")]
async fn write(
    conn: &mut PgConnection,
    callback: &ReceivedCallback<'_>,
    completion: &Completion,
    (job_status, attempt_state): (&str, &str),
    ended: &Ended<'_>,
    audience: &ExpectedAudience<'_>,
) -> sqlx::Result<Option<Written>> {
    let body = callback.compressed_body;
    let result_frame = body
        .result_frame
        .filter(|_| ended.outcome == CallbackOutcome::Completed);
    sqlx::query_as!(
        Written,
        r#"
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
        ), lane AS MATERIALIZED (
            -- Until the commit nobody forgets it.
            SELECT l.id FROM delivery_lanes l
            WHERE l.tenant_id = (SELECT tenant_id FROM ended) AND l.origin = $24
            FOR KEY SHARE SKIP LOCKED
        ), wanted AS MATERIALIZED (
            SELECT w.id AS lane_id, w.id AS endpoint_id FROM webhook_endpoints w
            WHERE w.tenant_id = (SELECT tenant_id FROM ended) AND w.status = 'enabled'
              AND (w.event_types IS NULL OR $21 = ANY (w.event_types))
            UNION ALL
            SELECT id, NULL FROM lane
        ), sequence AS MATERIALIZED (
            -- Its last version, also where that is newer than what this statement sees otherwise. Whoever holds it numbers
            -- events, and is not waited for.
            SELECT last_number FROM event_sequence
            WHERE $22 AND EXISTS (SELECT FROM ended)
              AND (SELECT count(*) FROM wanted) <= cardinality($23::uuid[])
              AND ($24::text IS NULL OR EXISTS (SELECT FROM lane))
              -- Events of a job are numbered in the order in which they were added.
              AND (SELECT position FROM events
                   WHERE number IS NULL
                     AND type NOT IN ('transcription.submitting', 'transcription.requeued', 'transcription.unknown')
                     AND type = ANY ($25)
                   -- Ordered, so that the index is walked whatever Postgres expects to find.
                   ORDER BY position LIMIT 1) IS NULL
            FOR UPDATE SKIP LOCKED
        ), added AS (
            INSERT INTO events (tenant_id, job_id, type, data, number)
            SELECT tenant_id, id, $21,
                   json_strip_nulls(json_build_object(
                       'status', status, 'status_reason', status_reason, 'error_type', error_type,
                       'error_code', error_code, 'batch_id', batch_id,
                       'received_at', received_at)),
                   (SELECT last_number + 1 FROM sequence)
            -- Both, so that what was received was so before what it ended.
            FROM ended CROSS JOIN kept
            RETURNING number, tenant_id, job_id, occurred_at, data
        ), noted AS (
            UPDATE event_sequence SET last_number = (SELECT number FROM added)
            WHERE EXISTS (SELECT FROM added WHERE number IS NOT NULL)
        ), made AS (
            INSERT INTO deliveries (id, tenant_id, lane_id, endpoint_id, event_number, event_type, job_id, status,
                                    tries, worker, lease_until, next_try_at)
            SELECT ($23::uuid[])[w.nth], a.tenant_id, w.lane_id, w.endpoint_id, a.number, $21, a.job_id, 'pending',
                   CASE WHEN w.is_leased THEN 1 ELSE 0 END, CASE WHEN w.is_leased THEN $26 END,
                   -- As a claim would.
                   CASE WHEN w.is_leased THEN now + make_interval(secs => $27) END,
                   CASE WHEN w.is_leased THEN now + make_interval(secs => $27) ELSE now END
            FROM added a CROSS JOIN attempt CROSS JOIN (
                SELECT lane_id, endpoint_id, row_number() OVER () AS nth,
                       -- In a lane that works, with a place in it, where nothing waits before it.
                       row_number() OVER () <= $28
                       AND EXISTS (SELECT FROM delivery_lanes l
                                   WHERE l.id = lane_id AND l.failures = 0 AND l.last_success_at IS NOT NULL
                                     AND l.open_until IS NULL)
                       AND (SELECT count(*) FROM (SELECT FROM deliveries d
                                                  WHERE d.lane_id = wanted.lane_id AND d.status = 'pending'
                                                  LIMIT $29) few) < $29 AS is_leased
                FROM wanted
            ) w
            WHERE a.number IS NOT NULL
            RETURNING id, lane_id, lease_until
        )
        SELECT number, tenant_id, occurred_at, data,
               ARRAY(SELECT DISTINCT lane_id FROM made WHERE lease_until IS NULL) AS "lane_ids!",
               ARRAY(SELECT id FROM made WHERE lease_until IS NOT NULL) AS "leased_ids!"
        FROM added
        "#,
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
        audience.is_told,
        &audience.delivery_ids,
        audience.callback_origin,
        &known_types() as &[&str],
        audience.worker,
        audience.lease.as_secs_f64(),
        audience.room,
        i64::from(LANE_WIDTH),
    )
    .fetch_optional(conn)
    .await
}
