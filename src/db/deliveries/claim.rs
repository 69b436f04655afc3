//! The claim: what is due is leased, with everything that is needed to send it, in one statement.
//!
//! Part of the commit that makes the deliveries, or of one of its own. A claim moves `next_try_at` to the end of the lease: what
//! its process never answers for is due again then, and until then it is in nobody's way.

use std::{collections::HashMap, time::Duration};

use sqlx::PgConnection;
use uuid::Uuid;

use super::claimed::{ClaimedDelivery, ClaimedRow};
use crate::domain::ids::{DeliveryId, LaneId, TenantId};

/// How many deliveries of a lane all replicas together may have leased. Of a fast lane more are leased ahead, and each process
/// sends this many at once.
pub const LANE_WIDTH: i32 = 8;

/// The same for a lane that fails, or of which it is not known yet whether it works: its receivers may hang.
const UNPROVEN_WIDTH: i32 = 2;

/// How many tries in a row count although their process ended before it knew how they went.
const MOST_INTERRUPTED: i64 = 3;

/// What the claiming process brings along.
#[derive(Debug)]
pub struct Claimant<'a> {
    /// The name of the process.
    pub worker: &'a str,
    /// After this it is taken for dead.
    pub lease: Duration,
    /// What it can take.
    pub room: &'a Room,
    /// Only of these lanes, each with how many may be leased beside those that can be under way.
    pub lanes: &'a [(LaneId, i32)],
}

/// How many deliveries a process can take, and how many it has taken for whom.
#[derive(Debug)]
pub struct Room {
    /// How many in this claim.
    pub places: usize,
    /// How many of them may be of lanes that are not known to work.
    pub unproven_places: usize,
    /// How many places are free in all. A tenant gets one more for as long as it holds fewer than are.
    pub free: usize,
    /// The same of those for lanes that are not known to work.
    pub unproven_free: usize,
    /// Who holds any.
    pub held: HashMap<TenantId, Held>,
}

/// What a tenant holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held {
    /// How many places.
    pub places: usize,
    /// How many of them for lanes that are not known to work.
    pub unproven_places: usize,
}

/// Selects what there is to send, of the deliveries that a head names `claimed`.
macro_rules! select_claimed {
    ($head:literal, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            ClaimedRow,
            $head + r#"
        SELECT c.id, c.tenant_id, c.lane_id, c.endpoint_id, c.event_number, c.tries,
               c.is_unproven AS "is_unproven!", c.claimed_at AS "claimed_at!", c.lease_until AS "lease_until!",
               NOT EXISTS (SELECT FROM delivery_attempts a WHERE a.delivery_id = c.id OFFSET 0) AS "is_first_try!",
               e.type AS "event_type?", e.job_id AS "job_id?", e.endpoint_id AS "about_endpoint_id?",
               e.occurred_at AS "occurred_at?", e.data::text AS "data?",
               w.url AS "url?", w.includes_result AS "includes_result?", w.status AS "endpoint_status?",
               w.disabled_reason AS "disabled_reason?",
               -- Of its job, what a callback tells; as text, because Postgres cannot look into one that has a NUL.
               j.callback::text AS "callback?",
               CASE WHEN c.endpoint_id IS NULL THEN j.request::text END AS "request?",
               j.result_callback_id AS "result_callback_id?", b.body_bytes AS "result_body_bytes?",
               j.error_code AS "error_code?", j.error_message AS "error_message?", j.traceparent AS "traceparent?",
               j.tracestate AS "tracestate?",
               s.ids AS "secret_ids!", s.key_ids AS "secret_key_ids!", s.sealed AS "secrets!"
        FROM claimed c
        -- Each by its number or id, whatever Postgres expects: joined, all there are would be walked through.
        LEFT JOIN LATERAL (SELECT * FROM events WHERE number = c.event_number AND number > 0 OFFSET 0) e ON true
        LEFT JOIN webhook_endpoints w ON w.id = c.endpoint_id
        LEFT JOIN LATERAL (SELECT * FROM jobs WHERE id = c.job_id OFFSET 0) j ON true
        LEFT JOIN LATERAL (SELECT body_bytes FROM callbacks WHERE id = j.result_callback_id OFFSET 0) b ON true
        CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(id), '{}') AS ids, coalesce(array_agg(key_id), '{}') AS key_ids,
                   coalesce(array_agg(sealed), '{}') AS sealed
            FROM (SELECT id, key_id, sealed
                  -- Two, so that each has its index.
                  FROM (SELECT id, key_id, sealed, expires_at FROM signing_secrets
                        WHERE endpoint_id = c.endpoint_id
                        UNION ALL
                        SELECT id, key_id, sealed, expires_at FROM signing_secrets
                        WHERE tenant_id = c.tenant_id AND endpoint_id IS NULL AND c.endpoint_id IS NULL) secrets
                  WHERE expires_at IS NULL OR expires_at > c.claimed_at
                  -- Sorted once, in the order in which all three are gathered.
                  ORDER BY expires_at DESC NULLS FIRST, id DESC) usable
        ) s
            "#,
            $($argument),+
        )
    };
}

/// Claims what is due in lanes: of every tenant something before more of any, and of a tenant that first whose lanes fail
/// least. The cost follows the number of lanes, not how much waits there.
///
/// # Errors
/// Where the database does not answer.
#[expect(clippy::too_many_lines, reason = "one statement")]
pub async fn claim(
    conn: &mut PgConnection,
    claimant: &Claimant<'_>,
) -> sqlx::Result<Vec<ClaimedDelivery>> {
    let lanes: Vec<Uuid> = claimant.lanes.iter().map(|(lane, _)| lane.0).collect();
    let ahead: Vec<i32> = claimant.lanes.iter().map(|(_, ahead)| *ahead).collect();
    let Room { held, .. } = claimant.room;
    let tenants: Vec<Uuid> = held.keys().map(|tenant| tenant.0).collect();
    let places: Vec<i64> = held.values().map(|held| count(held.places)).collect();
    let unproven_places: Vec<i64> = held
        .values()
        .map(|held| count(held.unproven_places))
        .collect();
    let rows = select_claimed!(
        r#"
        WITH clock AS MATERIALIZED (
            SELECT gateway_now() AS now
        ),
        lanes AS MATERIALIZED (
            SELECT a.lane_id, coalesce(l.failures, 0) AS failures,
                   l.failures > 0 OR l.last_success_at IS NULL AS is_unproven,
                   -- Half open: one at a time.
                   CASE WHEN l.open_until IS NOT NULL THEN 1
                        WHEN l.failures > 0 OR l.last_success_at IS NULL THEN $6
                        ELSE $5 + a.ahead END
                   - (SELECT count(*) FROM deliveries d
                      WHERE d.lane_id = a.lane_id AND d.status = 'pending'
                        AND d.lease_until IS NOT NULL AND d.lease_until > (SELECT now FROM clock)) AS room
            FROM unnest($7::uuid[], $14::integer[]) AS a (lane_id, ahead)
            LEFT JOIN delivery_lanes l ON l.id = a.lane_id
            WHERE l.open_until IS NULL OR l.open_until <= (SELECT now FROM clock)
        ),
        due AS (
            SELECT d.id, d.tenant_id, l.is_unproven, l.failures, d.place
            FROM lanes l
            CROSS JOIN LATERAL (
                SELECT head.id, head.tenant_id, row_number() OVER (ORDER BY head.next_try_at) AS place
                FROM (SELECT id, tenant_id, next_try_at FROM deliveries
                      WHERE lane_id = l.lane_id AND status = 'pending' AND next_try_at <= (SELECT now FROM clock)
                      ORDER BY next_try_at LIMIT greatest(l.room, 0)) head
            ) d
        ),
        shared AS (
            -- Which place of its tenant's each would take, after those that the tenant holds.
            SELECT d.*, coalesce(h.places, 0) AS held, coalesce(h.unproven_places, 0) AS unproven_held,
                   coalesce(h.places, 0)
                   + row_number() OVER (PARTITION BY d.tenant_id ORDER BY d.is_unproven, d.failures, d.place) AS share,
                   coalesce(h.unproven_places, 0)
                   + row_number() OVER (PARTITION BY d.tenant_id, d.is_unproven ORDER BY d.failures, d.place)
                       AS unproven_share
            FROM due d
            LEFT JOIN unnest($8::uuid[], $9::bigint[], $10::bigint[]) AS h (tenant_id, places, unproven_places)
                 ON h.tenant_id = d.tenant_id
        ),
        picked AS (
            SELECT id, is_unproven
            -- The first of each tenant before the second of any, and so with its lanes.
            FROM (SELECT *, row_number() OVER (PARTITION BY is_unproven ORDER BY share, failures, place) AS nth
                  FROM shared
                  -- Before it, its tenant holds fewer than are free.
                  WHERE share - 1 < $11 - (share - held - 1)
                    AND (NOT is_unproven OR unproven_share - 1 < $12 - (unproven_share - unproven_held - 1))) s
            WHERE NOT is_unproven OR nth <= $2
            ORDER BY is_unproven, share, failures, place LIMIT $1
        ),
        locked AS (
            SELECT id, lease_until,
                   -- Processes that die again and again do not use up its tries.
                   lease_until IS NOT NULL AND (
                       SELECT count(*) = $13
                       FROM (SELECT error FROM delivery_attempts a WHERE a.delivery_id = deliveries.id
                             ORDER BY number DESC LIMIT $13) last
                       WHERE error = 'interrupted') AS is_cut_off_again
            FROM deliveries
            -- As an array, so that each is found by its id, however few or many Postgres expects.
            WHERE id = ANY (ARRAY(SELECT id FROM picked))
              -- Asked again: another replica may have been faster. In words that no index of pending ones answers to.
              AND coalesce(status, '') = 'pending' AND next_try_at <= (SELECT now FROM clock)
            FOR UPDATE SKIP LOCKED
        ),
        interrupted AS (
            -- Whoever had it before has never said how it went.
            INSERT INTO delivery_attempts (delivery_id, number, started_at, duration_ms, error, error_detail)
            SELECT id, 1 + coalesce((SELECT max(number) FROM delivery_attempts a WHERE a.delivery_id = locked.id), 0),
                   lease_until - make_interval(secs => $4), $4 * 1000, 'interrupted',
                   'the process that tried ended before it knew how it went'
            FROM locked WHERE lease_until IS NOT NULL
            ON CONFLICT DO NOTHING
        ),
        claimed AS (
            UPDATE deliveries d
            SET tries = d.tries + CASE WHEN locked.is_cut_off_again THEN 0 ELSE 1 END, worker = $3,
                lease_until = clock.now + make_interval(secs => $4),
                next_try_at = clock.now + make_interval(secs => $4)
            FROM clock, locked
            WHERE d.id = locked.id
            RETURNING d.id, d.tenant_id, d.lane_id, d.endpoint_id, d.event_number, d.job_id, d.tries, d.lease_until,
                      d.id = ANY (ARRAY(SELECT id FROM picked WHERE is_unproven)) AS is_unproven, clock.now AS claimed_at
        )
        "#,
        count(claimant.room.places),
        count(claimant.room.unproven_places),
        claimant.worker,
        claimant.lease.as_secs_f64(),
        LANE_WIDTH,
        UNPROVEN_WIDTH,
        &lanes,
        &tenants,
        &places,
        &unproven_places,
        count(claimant.room.free),
        count(claimant.room.unproven_free),
        MOST_INTERRUPTED,
        &ahead,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Reads what there is to send of deliveries that were leased to a process when they were made.
///
/// # Errors
/// Where the database does not answer.
pub async fn load(
    conn: &mut PgConnection,
    ids: &[DeliveryId],
    worker: &str,
    lease: Duration,
) -> sqlx::Result<Vec<ClaimedDelivery>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = select_claimed!(
        r#"
        WITH claimed AS (
            SELECT id, tenant_id, lane_id, endpoint_id, event_number, job_id, tries, lease_until,
                   false AS is_unproven, lease_until - make_interval(secs => $3) AS claimed_at
            FROM deliveries
            -- In words that no index of leased ones answers to, since all of them would be walked through where few were.
            WHERE id = ANY ($1) AND coalesce(status, '') = 'pending' AND worker = $2 AND lease_until IS NOT NULL
        )
        "#,
        &ids,
        worker,
        lease.as_secs_f64(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

fn count(places: usize) -> i64 {
    i64::try_from(places).unwrap_or(i64::MAX)
}
