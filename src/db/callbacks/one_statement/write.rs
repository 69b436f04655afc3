//! The statement that keeps callbacks and ends their jobs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::EndingCallback;
use crate::{
    db::{
        callbacks::{CallbackOutcome, called_back::Tells},
        deliveries::{LANE_WIDTH, origin_of},
        events::known_types,
    },
    domain::{
        ids::{DeliveryId, TenantId},
        job::JobErrorType,
    },
};

/// Who is to be told, as far as it is known before the events are written.
#[derive(Debug, Default)]
pub(super) struct Telling<'a> {
    /// Whether they may be told at once.
    is_told: bool,
    /// As many as there may be deliveries.
    delivery_ids: Vec<Uuid>,
    /// Of each job, scheme, host and port of the caller's own callback.
    callback_origins: Vec<Option<String>>,
    /// Of each job, how many deliveries of its tenant may be leased.
    rooms: Vec<i64>,
    /// To whom they are leased, and for how long.
    worker: Option<&'a str>,
    lease: Duration,
    /// Which version it is: once there is another one, it is not everybody.
    version: i64,
}

impl<'a> Telling<'a> {
    pub(super) fn of(ends: &[EndingCallback<'_>], tells: &Tells<'a>) -> Self {
        let origins = ends
            .iter()
            .map(|end| end.found.callback.as_deref().map(origin_of).transpose());
        let Ok(callback_origins) = origins.collect::<Result<Vec<_>, _>>() else {
            return Self::default();
        };
        // One for each endpoint, and one for the callback.
        let deliveries = ends.iter().flat_map(|end| 0..=end.found.endpoints);
        let room = |end: &EndingCallback<'_>| (tells.room)(TenantId(end.found.tenant_id));
        let rooms = ends.iter().map(|end| tells.worker.map_or(0, |_| room(end)));
        Self {
            is_told: true,
            delivery_ids: deliveries
                .map(|_| tells.ids.next::<DeliveryId>().0)
                .collect(),
            callback_origins,
            rooms: rooms
                .map(|room| room.try_into().unwrap_or(i64::MAX))
                .collect(),
            worker: tells.worker,
            lease: tells.lease,
            // All were found by one statement.
            version: ends.first().map_or(0, |end| end.found.audience_version),
        }
    }
}

/// The event of a job that was ended.
pub(super) struct Written {
    pub job_id: Uuid,
    /// `None`: the sequencer is to give it one.
    pub number: Option<i64>,
    pub tenant_id: Uuid,
    pub occurred_at: DateTime<Utc>,
    pub data: Option<String>,
    /// In which lanes deliveries of it were made that are to be claimed.
    pub lane_ids: Vec<Uuid>,
    /// The deliveries that are leased.
    pub leased_ids: Vec<Uuid>,
}

/// Changes everything of those whose job and attempt are as they were and nobody else's at this moment; of the others nothing.
/// In the order of their numbers, where they have any.
#[expect(clippy::too_many_lines, reason = "one statement")]
pub(super) async fn write(
    conn: &mut PgConnection,
    ends: &[EndingCallback<'_>],
    telling: &Telling<'_>,
) -> sqlx::Result<Vec<Written>> {
    // On its way through an array a body is copied several times, which a large one would notice.
    let (only_body, bodies) = match ends {
        [end] => (Some(end.callback.compressed_body.zstd), vec![None]),
        _ => (
            None,
            column(ends, |end| Some(end.callback.compressed_body.zstd)),
        ),
    };
    let frame = |end: &EndingCallback<'_>| {
        let frame = end.callback.compressed_body.result_frame;
        frame.filter(|_| end.ended.outcome == CallbackOutcome::Completed)
    };
    // Part by part, and what does the same step by step, where a callback goes the long way and the sequencer tells of it:
    //
    // lock    given     the callbacks, a row each, and one instant for all
    //         job       jobs that are as they were found                   `callbacks::record`, its first lock
    //         attempt   their attempts, likewise                           `callbacks::record`, its second lock
    // keep    kept      the bodies                                         `callbacks::insert`
    // end     settled   the attempts                                       `callbacks::settle::settle_attempt`
    //         freed     their slots                                        `dispatch::free_slot`
    //         ended     the jobs                                           `callbacks::complete_job`, `fail_job`
    // whom    lane      lanes of callers' own callbacks, locked            `deliveries::fan_out`, which also makes them
    //         wanted    endpoints that want the event, and those lanes     `events::number_next`, its audiences
    // number  sequence  the last number, locked, if nothing is in the way  `events::begin_numbering`
    //         added     the events, with numbers if that was locked        `events::insert`, then `number_next`
    //         noted     the last number as it is now                       `events::number_next`
    // tell    works     lanes that work, and how much waits in each        `deliveries::claim`, its `lanes`
    //         judged    which deliveries are leased to this process        `deliveries::claim`, its `shared` and `picked`
    //         made      the deliveries                                     `deliveries::fan_out`, then `claim`
    sqlx::query_as!(
        Written,
        r#"
        WITH given AS MATERIALIZED (
            SELECT g.*, (SELECT gateway_now()) AS now
            FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::float8[],
                        $8::float8[], $9::text[], $10::text[], $11::int[], $12::text[], $13::text[], $14::text[],
                        $15::bigint[], $32::timestamptz[])
                 AS g (attempt_id, job_status, attempt_state, gladia_id, callback_id, status, audio_duration_seconds,
                       billing_time_seconds, addon_errors, error_type, error_code, error_message, event_type,
                       callback_origin, room, next_look_at)
        ), job AS MATERIALIZED (
            SELECT j.id, a.id AS attempt_id
            FROM given g
            -- Each by its id, as when they were found.
            CROSS JOIN LATERAL (SELECT id, job_id FROM attempts WHERE id = g.attempt_id OFFSET 0) a
            CROSS JOIN LATERAL (
                SELECT id FROM jobs WHERE id = a.job_id AND status = g.job_status AND NOT discard
                -- Nobody is waited for, since others wait for this.
                FOR UPDATE SKIP LOCKED
            ) j
        ), attempt AS MATERIALIZED (
            -- After the job, in the order of all locks.
            SELECT a.job_id, g.*
            FROM job JOIN given g USING (attempt_id)
            CROSS JOIN LATERAL (
                SELECT job_id FROM attempts
                WHERE id = job.attempt_id AND job_id = job.id AND state = g.attempt_state AND gladia_id = g.gladia_id
                  -- Whoever keeps a success that waits for its proof has Gladia asked.
                  AND next_look_at IS NOT DISTINCT FROM g.next_look_at
                  -- In words that no index of open attempts answers to: all of them would be walked through where few were.
                  AND coalesce(finished_at, 'infinity') = 'infinity'
                FOR UPDATE SKIP LOCKED
            ) a
        ), kept AS (
            -- The same body, at the same time, is refused by its constraint, and everything with it.
            INSERT INTO callbacks
                (id, attempt_id, method, outcome, gladia_id, body, body_bytes, body_sha256, received_at,
                 result_frame_start, result_frame_length)
            SELECT a.callback_id, a.attempt_id, c.method, c.outcome, a.gladia_id, coalesce($30, c.body), c.body_bytes,
                   c.body_sha256, least(coalesce(c.received_at, a.now), a.now), c.result_frame_start, c.result_frame_length
            FROM attempt a JOIN unnest($1::uuid[], $16::text[], $17::text[], $18::bytea[], $19::bigint[], $20::bytea[],
                                       $21::timestamptz[], $22::int[], $23::int[])
                 AS c (attempt_id, method, outcome, body, body_bytes, body_sha256, received_at, result_frame_start,
                       result_frame_length) ON c.attempt_id = a.attempt_id
            RETURNING attempt_id, received_at
        ), settled AS (
            UPDATE attempts a
            SET state = e.status, finished_at = e.now, next_look_at = NULL, unknown_reason = NULL,
                audio_duration_seconds = e.audio_duration_seconds, billing_time_seconds = e.billing_time_seconds
            -- As an array too, here and below, so that no plan joins all of a table that was small when it was planned.
            FROM attempt e WHERE a.id = e.attempt_id AND a.id = ANY (ARRAY(SELECT attempt_id FROM attempt))
        ), freed AS (
            UPDATE slots SET attempt_id = NULL, tenant_id = NULL, taken_at = NULL, deadline_at = NULL
            WHERE attempt_id = ANY (ARRAY(SELECT attempt_id FROM attempt))
        ), ended AS (
            UPDATE jobs j
            SET status = e.status, status_reason = NULL, finished_at = e.now, gladia_id = e.gladia_id,
                result_callback_id = CASE WHEN e.status = 'done' THEN e.callback_id END,
                audio_duration_seconds =
                    CASE WHEN e.status = 'done' THEN e.audio_duration_seconds ELSE j.audio_duration_seconds END,
                billing_time_seconds =
                    CASE WHEN e.status = 'done' THEN e.billing_time_seconds ELSE j.billing_time_seconds END,
                addon_errors = CASE WHEN e.status = 'done' THEN e.addon_errors::json ELSE j.addon_errors END,
                error_type = e.error_type, error_code = e.error_code, error_message = e.error_message
            FROM attempt e WHERE j.id = e.job_id AND j.id = ANY (ARRAY(SELECT job_id FROM attempt))
            RETURNING j.id, j.tenant_id, j.status, j.status_reason, j.error_type, j.error_code, j.batch_id,
                      e.attempt_id, e.event_type, e.callback_origin, e.room, e.now
        ), lane AS MATERIALIZED (
            -- Until the commit nobody forgets them.
            SELECT l.id, l.tenant_id, l.origin FROM delivery_lanes l
            WHERE (l.tenant_id, l.origin) IN (SELECT tenant_id, callback_origin FROM ended)
            FOR KEY SHARE SKIP LOCKED
        ), wanted AS MATERIALIZED (
            SELECT e.id AS job_id, e.tenant_id, e.room, e.now, w.id AS lane_id, w.id AS endpoint_id
            FROM ended e JOIN webhook_endpoints w ON w.tenant_id = e.tenant_id
            WHERE w.status = 'enabled' AND (w.event_types IS NULL OR e.event_type = ANY (w.event_types))
            UNION ALL
            SELECT e.id, e.tenant_id, e.room, e.now, l.id, NULL
            FROM ended e JOIN lane l ON l.tenant_id = e.tenant_id AND l.origin = e.callback_origin
        ), sequence AS MATERIALIZED (
            -- Its last version, also where that is newer than what this statement sees otherwise. Whoever holds it numbers
            -- events, and is not waited for.
            SELECT last_number FROM event_sequence
            WHERE $24 AND EXISTS (SELECT FROM ended)
              -- Nobody wants more since then: this statement does not see who comes while it runs, and they are promised
              -- whatever happens from then on.
              AND audience_version = $31
              AND (SELECT count(*) FROM wanted) <= cardinality($25::uuid[])
              AND NOT EXISTS (SELECT FROM ended e
                              WHERE e.callback_origin IS NOT NULL
                                AND NOT EXISTS (SELECT FROM lane l
                                                WHERE l.tenant_id = e.tenant_id AND l.origin = e.callback_origin))
              -- Events of a job are numbered in the order in which they were added. Where nobody's wait, none of its do.
              AND ((SELECT position FROM events
                    WHERE number IS NULL
                      AND type NOT IN ('transcription.submitting', 'transcription.requeued', 'transcription.unknown')
                      AND type = ANY ($26)
                    -- Ordered, so that the index is walked whatever Postgres expects to find.
                    ORDER BY position LIMIT 1) IS NULL
                   OR NOT EXISTS (SELECT FROM ended e CROSS JOIN LATERAL (
                                      SELECT FROM events v
                                      WHERE v.job_id = e.id AND v.number IS NULL
                                        AND v.type NOT IN ('transcription.submitting', 'transcription.requeued',
                                                           'transcription.unknown')
                                        AND v.type = ANY ($26)
                                      OFFSET 0) v))
            FOR UPDATE SKIP LOCKED
        ), added AS (
            INSERT INTO events (tenant_id, job_id, type, data, number)
            SELECT e.tenant_id, e.id, e.event_type,
                   json_strip_nulls(json_build_object(
                       'status', e.status, 'status_reason', e.status_reason, 'error_type', e.error_type,
                       'error_code', e.error_code, 'batch_id', e.batch_id,
                       'received_at', k.received_at)),
                   (SELECT last_number FROM sequence) + row_number() OVER (ORDER BY e.id)
            -- Both, so that what was received was so before what it ended.
            FROM ended e JOIN kept k ON k.attempt_id = e.attempt_id
            RETURNING number, tenant_id, job_id, type, occurred_at, data
        ), noted AS (
            UPDATE event_sequence SET last_number = (SELECT max(number) FROM added)
            WHERE EXISTS (SELECT FROM added WHERE number IS NOT NULL)
        ), works AS MATERIALIZED (
            -- The lanes that work. How many wait in one is counted once, however many callbacks come together: while somebody keeps
            -- an old snapshot open, whatever has been delivered since then is walked through for it.
            SELECT l.id,
                   (SELECT count(*) FROM (SELECT FROM deliveries d
                                          WHERE d.lane_id = l.id AND d.status = 'pending'
                                          LIMIT $29) few) AS waiting
            FROM delivery_lanes l
            WHERE l.id = ANY (ARRAY(SELECT lane_id FROM wanted WHERE room > 0))
              AND l.failures = 0 AND l.last_success_at IS NOT NULL AND l.open_until IS NULL
        ), judged AS MATERIALIZED (
            -- Once too, and not for each of the events.
            SELECT w.job_id, w.lane_id, w.endpoint_id, w.now, row_number() OVER () AS nth,
                   -- In a lane that works, with a place in it, where nothing waits before it.
                   row_number() OVER (PARTITION BY w.tenant_id ORDER BY w.job_id) <= w.room
                   AND coalesce(row_number() OVER (PARTITION BY w.lane_id ORDER BY w.job_id) + works.waiting <= $29, false)
                       AS is_leased
            FROM wanted w LEFT JOIN works ON works.id = w.lane_id
        ), made AS (
            INSERT INTO deliveries (id, tenant_id, lane_id, endpoint_id, event_number, event_type, job_id, status,
                                    tries, worker, lease_until, next_try_at)
            SELECT ($25::uuid[])[w.nth], a.tenant_id, w.lane_id, w.endpoint_id, a.number, a.type, a.job_id, 'pending',
                   CASE WHEN w.is_leased THEN 1 ELSE 0 END, CASE WHEN w.is_leased THEN $27 END,
                   -- As a claim would.
                   CASE WHEN w.is_leased THEN w.now + make_interval(secs => $28) END,
                   CASE WHEN w.is_leased THEN w.now + make_interval(secs => $28) ELSE w.now END
            FROM added a JOIN judged w ON w.job_id = a.job_id
            WHERE a.number IS NOT NULL
            RETURNING id, job_id, lane_id, lease_until
        )
        SELECT job_id AS "job_id!", number, tenant_id, occurred_at, data::text AS data,
               ARRAY(SELECT m.lane_id FROM made m
                     WHERE m.job_id = added.job_id AND m.lease_until IS NULL) AS "lane_ids!",
               ARRAY(SELECT m.id FROM made m
                     WHERE m.job_id = added.job_id AND m.lease_until IS NOT NULL) AS "leased_ids!"
        FROM added ORDER BY number
        "#,
        // What is `given`.
        &column(ends, |end| end.callback.attempt_id.0),
        &column(ends, |end| end.found.status.as_str()) as &[&str],
        &column(ends, |end| end.found.state.as_str()) as &[&str],
        &column(ends, |end| end.completion.gladia_id.as_str()) as &[&str],
        &column(ends, |end| end.callback.id.0),
        &column(ends, |end| end.ended.status.as_str()) as &[&str],
        &column(ends, |end| end.ended.audio_duration_seconds) as &[Option<f64>],
        &column(ends, |end| end.ended.billing_time_seconds) as &[Option<f64>],
        &column(ends, |end| end.ended.addon_errors.as_deref()) as &[Option<&str>],
        &column(ends, |end| end.ended.error_type.map(JobErrorType::as_str)) as &[Option<&str>],
        &column(ends, |end| end.ended.error_code) as &[Option<i32>],
        &column(ends, |end| end.ended.error_message) as &[Option<&str>],
        &column(ends, |end| end.ended.event.as_str()) as &[&str],
        &telling.callback_origins as &[Option<String>],
        &telling.rooms,
        // What is `kept`, $16 being the first.
        &column(ends, |end| end.callback.method) as &[&str],
        &column(ends, |end| end.ended.outcome.as_str()) as &[&str],
        &bodies as &[Option<&[u8]>],
        &column(ends, |end| end.callback.body_bytes),
        &column(ends, |end| &end.callback.body_sha256[..]) as &[&[u8]],
        &column(ends, |end| end.callback.received_at) as &[Option<DateTime<Utc>>],
        &column(ends, |end| Some(frame(end)?.start)) as &[Option<i32>],
        &column(ends, |end| Some(frame(end)?.length)) as &[Option<i32>],
        // What is told, from $24 on.
        telling.is_told,
        &telling.delivery_ids,
        &known_types() as &[&str],
        telling.worker,
        telling.lease.as_secs_f64(),
        i64::from(LANE_WIDTH),
        only_body,
        telling.version,
        &column(ends, |end| end.found.next_look_at) as &[Option<DateTime<Utc>>],
    )
    .fetch_all(conn)
    .await
}

/// One thing of each, as the statement takes it.
fn column<'a, T>(
    ends: &'a [EndingCallback<'a>],
    of: impl FnMut(&'a EndingCallback<'a>) -> T,
) -> Vec<T> {
    ends.iter().map(of).collect()
}
