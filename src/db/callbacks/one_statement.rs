//! What almost every callback is: the first one of a job that Gladia is known to have, and of which there is one attempt.
//!
//! Callers wait for it, and each statement is a way to the database and back. So it takes two, neither of them within a
//! transaction, for as many callbacks as there are: what they meet is read without a lock, and one statement locks it, asks
//! whether it is still so, and changes it. Where anything is otherwise for one of them, or somebody else is at it, nothing has
//! happened to that one, and it goes the long way.
//!
//! The same statement numbers the events and makes their deliveries, if nobody else numbers events at that moment, none
//! waits, and those who want to be told are still the same: it does what the sequencer would do next, in a commit that is made
//! anyway.

mod write;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use self::write::{Telling, Written, write};
use super::{
    CallbackOutcome, ReceivedCallback,
    called_back::{Announced, CalledBack, RecordedCallback, RecordedGroup, Tells},
};
use crate::{
    db::{
        self, corrupt,
        events::{EventRow, EventType, Numbered},
    },
    domain::{
        completion::{Before, Completion, Ending, Verdict, decide},
        event::EventId,
        ids::{DeliveryId, LaneId},
        job::{JobErrorType, JobStatus},
        trace_context::TraceContext,
    },
};

/// Keeps a callback and ends its job. `None`: there is more to it, and nothing is changed.
pub(super) async fn record(
    conn: &mut PgConnection,
    callback: &ReceivedCallback<'_>,
    tells: Option<&Tells<'_>>,
) -> sqlx::Result<Option<RecordedCallback>> {
    let callbacks = std::slice::from_ref(callback);
    let recorded = match record_all(conn, callbacks, tells).await {
        // Whatever keeps others from being told is for the sequencer to deal with, and no reason not to keep a callback.
        Err(error)
            if tells.is_some() && !db::is_unavailable(&error) && !db::is_conflict(&error) =>
        {
            tracing::warn!(%error, "An event could not be numbered at once; it is left to the sequencer");
            record_all(conn, callbacks, None).await
        }
        recorded => recorded,
    }?;
    let RecordedGroup {
        mut each,
        announced,
    } = recorded;
    let recorded = each.pop().flatten();
    Ok(recorded.map(|recorded| RecordedCallback {
        announced,
        ..recorded
    }))
}

/// Keeps callbacks and ends their jobs, in one commit. `None`: there is more to that one, and nothing is changed by it.
///
/// # Errors
/// Where the database does not answer, or refuses one of them; then nothing is changed by any.
pub async fn record_all(
    conn: &mut PgConnection,
    callbacks: &[ReceivedCallback<'_>],
    tells: Option<&Tells<'_>>,
) -> sqlx::Result<RecordedGroup> {
    let mut found = find(conn, callbacks).await?;
    let mut ends = Vec::with_capacity(callbacks.len());
    for (index, callback) in callbacks.iter().enumerate() {
        // Of two of the same attempt the first one takes it, and the second one is found to be that.
        let Some(found) = found.remove(&callback.attempt_id.0) else {
            continue;
        };
        ends.extend(EndingCallback::of(index, callback, found)?);
    }
    let mut each: Vec<_> = callbacks.iter().map(|_| None).collect();
    if ends.is_empty() {
        return Ok(RecordedGroup {
            each,
            announced: None,
        });
    }
    let telling = tells.map_or_else(Telling::default, |tells| Telling::of(&ends, tells));
    let written = write(conn, &ends, &telling).await?;
    let announced = announced(&ends, &written);
    let written: HashSet<Uuid> = written.iter().map(|one| one.job_id).collect();
    for end in ends {
        if written.contains(&end.found.job_id) {
            let index = end.index;
            each[index] = Some(end.recorded());
        }
    }
    Ok(RecordedGroup { each, announced })
}

/// What a callback meets.
#[derive(Debug)]
struct Found {
    attempt_id: Uuid,
    job_id: Uuid,
    status: String,
    traceparent: Option<String>,
    tracestate: Option<String>,
    state: String,
    gladia_id: Option<String>,
    next_look_at: Option<DateTime<Utc>>,
    number: i32,
    waited_since: DateTime<Utc>,
    waited_seconds: f64,
    tenant_id: Uuid,
    callback: Option<String>,
    endpoints: i64,
    audience_version: i64,
}

/// Looks at the attempts of callbacks, without a lock. Those of which there is more to tell are left out.
async fn find(
    conn: &mut PgConnection,
    callbacks: &[ReceivedCallback<'_>],
) -> sqlx::Result<HashMap<Uuid, Found>> {
    let attempt_ids: Vec<Uuid> = callbacks.iter().map(|one| one.attempt_id.0).collect();
    let received: Vec<Option<DateTime<Utc>>> =
        callbacks.iter().map(|one| one.received_at).collect();
    let found = sqlx::query_as!(
        Found,
        r#"
        SELECT a.id AS attempt_id, j.id AS job_id, j.status, j.traceparent, j.tracestate, a.state, a.gladia_id,
               a.next_look_at, a.number,
               coalesce(a.answered_at, a.created_at) AS "waited_since!",
               (extract(epoch FROM least(coalesce(c.received_at, gateway_now()), gateway_now())
                                   - coalesce(a.answered_at, a.created_at)))::float8 AS "waited_seconds!",
               j.tenant_id, j.callback::text AS callback,
               (SELECT count(*) FROM webhook_endpoints w
                WHERE w.tenant_id = j.tenant_id AND w.status = 'enabled') AS "endpoints!",
               (SELECT audience_version FROM event_sequence) AS "audience_version!"
        FROM unnest($1::uuid[], $2::timestamptz[]) AS c (attempt_id, received_at)
        -- Each by its id, and what belongs to it by that, also where few were there when rows were counted: else all of them
        -- are walked through.
        CROSS JOIN LATERAL (SELECT * FROM attempts WHERE id = c.attempt_id OFFSET 0) a
        CROSS JOIN LATERAL (SELECT * FROM jobs WHERE id = a.job_id OFFSET 0) j
        WHERE a.finished_at IS NULL AND a.gladia_id IS NOT NULL AND NOT j.discard
          AND NOT EXISTS (SELECT FROM callbacks kept WHERE kept.attempt_id = a.id OFFSET 0)
          AND NOT EXISTS (SELECT FROM attempts other WHERE other.job_id = a.job_id AND other.id <> a.id OFFSET 0)
        "#,
        &attempt_ids,
        &received as &[Option<DateTime<Utc>>],
    )
    .fetch_all(conn)
    .await?;
    Ok(found
        .into_iter()
        .map(|found| (found.attempt_id, found))
        .collect())
}

/// A callback that ends a job.
struct EndingCallback<'a> {
    /// Which one it is.
    index: usize,
    callback: &'a ReceivedCallback<'a>,
    completion: &'a Completion,
    found: Found,
    ended: Ended<'a>,
}

impl<'a> EndingCallback<'a> {
    /// `None`: it does something else.
    fn of(
        index: usize,
        callback: &'a ReceivedCallback<'a>,
        found: Found,
    ) -> sqlx::Result<Option<Self>> {
        let Ok(completion) = callback.completion else {
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
        Ok(ended.map(|ended| Self {
            index,
            callback,
            completion,
            found,
            ended,
        }))
    }

    fn recorded(self) -> RecordedCallback {
        let found = self.found;
        RecordedCallback {
            outcome: self.ended.outcome,
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
            announced: None,
            reason: None,
        }
    }
}

/// The events that have got their numbers: all of them or none.
fn announced(ends: &[EndingCallback<'_>], written: &[Written]) -> Option<Announced> {
    let (first, last) = (written.first()?.number?, written.last()?.number?);
    let kinds: HashMap<Uuid, EventType> = ends
        .iter()
        .map(|end| (end.found.job_id, end.ended.event))
        .collect();
    let events = written.iter().filter_map(|one| {
        let event = EventRow {
            number: one.number?,
            tenant_id: one.tenant_id,
            job_id: Some(one.job_id),
            endpoint_id: None,
            event_type: kinds.get(&one.job_id)?.as_str().to_owned(),
            occurred_at: one.occurred_at,
            data: one.data.clone(),
        };
        event.understood()
    });
    let lanes = written
        .iter()
        .flat_map(|one| one.lane_ids.iter().copied().map(LaneId));
    let lanes: BTreeSet<LaneId> = lanes.collect();
    let leased = written
        .iter()
        .flat_map(|one| one.leased_ids.iter().copied().map(DeliveryId));
    Some(Announced {
        numbered: Numbered {
            after: EventId(first - 1),
            through: EventId(last),
            events: events.collect(),
            audiences: Vec::new(),
            has_more: false,
        },
        lanes: lanes.into_iter().collect(),
        leased: leased.collect(),
    })
}

/// How a job ends, as its row says it.
#[derive(Debug)]
struct Ended<'a> {
    outcome: CallbackOutcome,
    /// Also the attempt's state.
    status: JobStatus,
    event: EventType,
    audio_duration_seconds: Option<f64>,
    billing_time_seconds: Option<f64>,
    /// As text, since jsonb has no NUL, which may stand in a name of Gladia's.
    addon_errors: Option<String>,
    error_type: Option<JobErrorType>,
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
            status: JobStatus::Done,
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
            status: JobStatus::Error,
            event: EventType::Error,
            audio_duration_seconds: None,
            billing_time_seconds: None,
            addon_errors: None,
            error_type: Some(JobErrorType::TranscriptionFailed),
            error_code: *code,
            error_message: Some(message),
        })
    }
}
