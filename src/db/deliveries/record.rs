//! How tries went, written down: many in one commit.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::moved;
use crate::{
    db::corrupt,
    domain::{
        delivery::{DeadReason, DeliveryStatus},
        delivery_schedule::{LaneHealth, Sign},
        ids::{DeliveryId, EndpointId, LaneId},
    },
};

/// What came of a claim.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Of which delivery.
    pub delivery_id: DeliveryId,
    /// Its lane.
    pub lane_id: LaneId,
    /// The endpoint that it was for, and where that was.
    pub endpoint: Option<(EndpointId, String)>,
    /// The lease of the claim. Another one since then has the say on what is next; a success always counts.
    pub lease_until: DateTime<Utc>,
    /// The try, where one was made.
    pub attempt: Option<Attempt>,
    /// What it says of the receiver.
    pub sign: Option<Sign>,
    /// What becomes of the delivery.
    pub next: Next,
}

/// A try, as it went.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration: Duration,
    /// The answer's status.
    pub http_status: Option<u16>,
    /// A stable code. `None`: it got through.
    pub error: Option<&'static str>,
    /// For people.
    pub error_detail: Option<String>,
    /// The first bytes of the answer.
    pub response_start: Option<String>,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it has arrived.
    Delivered,
    /// It is tried again.
    TryAgain {
        /// After this.
        after: Duration,
    },
    /// It is tried again, and this was no try.
    GiveBack {
        /// After this.
        after: Duration,
    },
    /// It is given up.
    Dead(DeadReason),
}

/// How the lanes are doing after what was recorded.
#[derive(Debug)]
pub struct Recorded {
    /// When it was recorded.
    pub now: DateTime<Utc>,
    /// Those of which there was news.
    pub lanes: HashMap<LaneId, LaneHealth>,
}

/// A delivery that nobody else can move until the transaction ends.
struct Locked {
    status: DeliveryStatus,
    lease_until: Option<DateTime<Utc>>,
    tries: i32,
    last_attempt: i32,
    is_erased: bool,
    next: Option<Next>,
}

/// Writes down what came of claims. `jitter` is random in 0..1.
///
/// # Errors
/// Where the database does not answer. The same can be tried again, and `may_be_recorded` then: the answer to a commit may have
/// been lost.
pub async fn record(
    conn: &mut PgConnection,
    outcomes: &[Outcome],
    jitter: f64,
    may_be_recorded: bool,
) -> sqlx::Result<Recorded> {
    let mut tx = conn.begin().await?;
    let mut lanes = lock(&mut tx, outcomes).await?;
    let (now, mut deliveries) = read(&mut tx, outcomes).await?;
    let recorded = if may_be_recorded {
        recorded_tries(&mut tx, outcomes).await?
    } else {
        HashSet::new()
    };
    let moved = moved::find(&mut tx, outcomes).await?;
    let mut attempts = Attempts::default();
    for (nth, outcome) in outcomes.iter().enumerate() {
        if recorded.contains(&nth) {
            continue;
        }
        let outcome = &moved.judge_anew(outcome);
        if let (Some(sign), Some(lane)) = (outcome.sign, lanes.get_mut(&outcome.lane_id)) {
            *lane = std::mem::take(lane).after(sign, now, jitter);
        }
        // Deliveries of long ago are purged.
        if let Some(delivery) = deliveries.get_mut(&outcome.delivery_id) {
            delivery.apply(outcome);
            if let Some(attempt) = &outcome.attempt {
                attempts.push(outcome.delivery_id, delivery, attempt);
            }
        }
    }
    write(&mut tx, now, &attempts, &deliveries, &lanes).await?;
    tx.commit().await?;
    Ok(Recorded { now, lanes })
}

impl Locked {
    fn apply(&mut self, outcome: &Outcome) {
        let is_pending = self.status == DeliveryStatus::Pending;
        match outcome.next {
            // Also where it was given up meanwhile: it has arrived.
            Next::Delivered if self.status != DeliveryStatus::Delivered => {
                self.status = DeliveryStatus::Delivered;
            }
            next if is_pending && self.lease_until == Some(outcome.lease_until) => match next {
                Next::GiveBack { .. } => self.tries -= 1,
                Next::Dead(_) => {
                    self.status = DeliveryStatus::Dead;
                    // It was claimed, which counts as a try, and there was nothing to send any more.
                    if outcome.attempt.is_none() {
                        self.tries -= 1;
                    }
                }
                Next::Delivered | Next::TryAgain { .. } => {}
            },
            _ => return,
        }
        self.lease_until = None;
        self.next = Some(outcome.next);
    }
}

/// Locks the deliveries, and then the lanes of which there is news, which is how those are now.
async fn lock(
    conn: &mut PgConnection,
    outcomes: &[Outcome],
) -> sqlx::Result<HashMap<LaneId, LaneHealth>> {
    let lane_ids: BTreeSet<Uuid> = outcomes
        .iter()
        .filter(|outcome| outcome.sign.is_some())
        .map(|outcome| outcome.lane_id.0)
        .collect();
    let lane_ids: Vec<Uuid> = lane_ids.into_iter().collect();
    let rows = sqlx::query!(
        "
        WITH locked AS MATERIALIZED (
            -- In the order of their ids, as everybody locks several.
            SELECT id FROM deliveries WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE
        )
        SELECT id, failures, failing_since, open_until, last_success_at, last_failure_at
        FROM delivery_lanes
        -- Counted first, even where there are no lanes.
        WHERE (SELECT count(*) FROM locked) >= 0 AND id = ANY ($2)
        ORDER BY id
        FOR NO KEY UPDATE
        ",
        &ids(outcomes),
        &lane_ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let health = LaneHealth {
                failures: u32::try_from(row.failures).unwrap_or_default(),
                failing_since: row.failing_since,
                open_until: row.open_until,
                last_success_at: row.last_success_at,
                last_failure_at: row.last_failure_at,
            };
            (row.id.into(), health)
        })
        .collect())
}

/// The time, and the deliveries, which are locked. A statement of its own: it sees what whoever had the locks before has done,
/// such as to erase the job, and its time is not before theirs.
async fn read(
    conn: &mut PgConnection,
    outcomes: &[Outcome],
) -> sqlx::Result<(DateTime<Utc>, HashMap<DeliveryId, Locked>)> {
    let rows = sqlx::query!(
        r#"
        WITH clock AS MATERIALIZED (
            SELECT gateway_now() AS now
        )
        SELECT clock.now AS "now!", d.id AS "id?", d.status AS "status?", d.lease_until, d.tries AS "tries?",
               coalesce((SELECT max(number) FROM delivery_attempts a WHERE a.delivery_id = d.id), 0) AS "last_attempt!",
               EXISTS (SELECT FROM jobs j WHERE j.id = d.job_id AND j.deleted_at IS NOT NULL OFFSET 0) AS "is_erased!"
        -- The time is there in any case.
        FROM clock LEFT JOIN deliveries d ON d.id = ANY ($1)
        "#,
        &ids(outcomes),
    )
    .fetch_all(conn)
    .await?;
    let now = rows.first().map(|row| row.now);
    let now = now.ok_or(sqlx::Error::RowNotFound)?;
    let mut deliveries = HashMap::with_capacity(rows.len());
    for row in rows {
        let (Some(id), Some(status), Some(tries)) = (row.id, row.status, row.tries) else {
            continue;
        };
        let locked = Locked {
            status: status.parse().map_err(corrupt)?,
            lease_until: row.lease_until,
            tries,
            last_attempt: row.last_attempt,
            is_erased: row.is_erased,
            next: None,
        };
        deliveries.insert(id.into(), locked);
    }
    Ok((now, deliveries))
}

/// Which of them have a try that is on record, by their places.
async fn recorded_tries(
    conn: &mut PgConnection,
    outcomes: &[Outcome],
) -> sqlx::Result<HashSet<usize>> {
    let started_at: Vec<Option<DateTime<Utc>>> = outcomes
        .iter()
        .map(|outcome| Some(outcome.attempt.as_ref()?.started_at))
        .collect();
    let rows = sqlx::query!(
        r#"
        SELECT o.nth AS "nth!"
        FROM unnest($1::uuid[], $2::timestamptz[]) WITH ORDINALITY AS o (delivery_id, started_at, nth)
        WHERE EXISTS (SELECT FROM delivery_attempts a
                      WHERE a.delivery_id = o.delivery_id AND a.started_at = o.started_at OFFSET 0)
        "#,
        &ids(outcomes),
        &started_at as &[Option<DateTime<Utc>>],
    )
    .fetch_all(conn)
    .await?;
    // Postgres counts from 1.
    let nth = |nth: i64| usize::try_from(nth - 1).ok();
    Ok(rows.into_iter().filter_map(|row| nth(row.nth)).collect())
}

fn ids(outcomes: &[Outcome]) -> Vec<Uuid> {
    outcomes
        .iter()
        .map(|outcome| outcome.delivery_id.0)
        .collect()
}

/// Tries, as columns.
#[derive(Default)]
struct Attempts {
    delivery_ids: Vec<Uuid>,
    numbers: Vec<i32>,
    started_at: Vec<DateTime<Utc>>,
    durations_ms: Vec<i32>,
    http_statuses: Vec<Option<i32>>,
    errors: Vec<Option<&'static str>>,
    error_details: Vec<Option<String>>,
    response_starts: Vec<Option<String>>,
}

impl Attempts {
    fn push(&mut self, id: DeliveryId, delivery: &mut Locked, attempt: &Attempt) {
        delivery.last_attempt += 1;
        self.delivery_ids.push(id.0);
        self.numbers.push(delivery.last_attempt);
        self.started_at.push(attempt.started_at);
        self.durations_ms
            .push(i32::try_from(attempt.duration.as_millis()).unwrap_or(i32::MAX));
        self.http_statuses.push(attempt.http_status.map(i32::from));
        self.errors.push(attempt.error);
        self.error_details.push(attempt.error_detail.clone());
        let response_start = attempt.response_start.clone();
        // A receiver may answer with what it was sent.
        self.response_starts
            .push(response_start.filter(|_| !delivery.is_erased));
    }
}

/// What becomes of deliveries, as columns.
#[derive(Default)]
struct MovedColumns {
    ids: Vec<Uuid>,
    statuses: Vec<&'static str>,
    dead_reasons: Vec<Option<&'static str>>,
    tries: Vec<i32>,
    after_seconds: Vec<Option<f64>>,
}

impl MovedColumns {
    fn new(deliveries: &HashMap<DeliveryId, Locked>) -> Self {
        let mut moved = Self::default();
        for (id, delivery) in deliveries {
            let Some(next) = delivery.next else {
                continue;
            };
            moved.ids.push(id.0);
            moved.statuses.push(delivery.status.as_str());
            moved.dead_reasons.push(match next {
                Next::Dead(reason) => Some(reason.as_str()),
                _ => None,
            });
            moved.tries.push(delivery.tries);
            moved.after_seconds.push(match next {
                Next::TryAgain { after } | Next::GiveBack { after } => Some(after.as_secs_f64()),
                Next::Delivered | Next::Dead(_) => None,
            });
        }
        moved
    }
}

/// Tries, deliveries and lanes, all of which are locked.
async fn write(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    attempts: &Attempts,
    deliveries: &HashMap<DeliveryId, Locked>,
    lanes: &HashMap<LaneId, LaneHealth>,
) -> sqlx::Result<()> {
    let moved = MovedColumns::new(deliveries);
    let lane_ids: Vec<Uuid> = lanes.keys().map(|id| id.0).collect();
    let failures: Vec<i32> = lanes
        .values()
        .map(|lane| i32::try_from(lane.failures).unwrap_or(i32::MAX))
        .collect();
    let instants = |of: fn(&LaneHealth) -> Option<DateTime<Utc>>| -> Vec<Option<DateTime<Utc>>> {
        lanes.values().map(of).collect()
    };
    sqlx::query!(
        "
        WITH tried AS (
            INSERT INTO delivery_attempts
                (delivery_id, number, started_at, duration_ms, http_status, error, error_detail, response_start)
            SELECT * FROM unnest($1::uuid[], $2::integer[], $3::timestamptz[], $4::integer[], $5::integer[],
                                 $6::text[], $7::text[], $8::text[])
        ), moved AS (
            UPDATE deliveries d
            SET status = m.status, dead_reason = m.dead_reason, tries = m.tries, lease_until = NULL, worker = NULL,
                next_try_at = coalesce($9::timestamptz + make_interval(secs => m.after_seconds), d.next_try_at),
                finished_at = CASE WHEN m.status <> 'pending' THEN $9 END
            FROM unnest($10::uuid[], $11::text[], $12::text[], $13::integer[], $14::float8[])
                 AS m (id, status, dead_reason, tries, after_seconds)
            -- As an array too, so that no plan walks through all deliveries to find them.
            WHERE d.id = m.id AND d.id = ANY ($10)
        )
        UPDATE delivery_lanes l
        SET failures = n.failures, failing_since = n.failing_since, open_until = n.open_until,
            last_success_at = n.last_success_at, last_failure_at = n.last_failure_at
        FROM unnest($15::uuid[], $16::integer[], $17::timestamptz[], $18::timestamptz[], $19::timestamptz[],
                    $20::timestamptz[])
             AS n (id, failures, failing_since, open_until, last_success_at, last_failure_at)
        WHERE l.id = n.id
        ",
        &attempts.delivery_ids,
        &attempts.numbers,
        &attempts.started_at,
        &attempts.durations_ms,
        &attempts.http_statuses as &[Option<i32>],
        &attempts.errors as &[Option<&str>],
        &attempts.error_details as &[Option<String>],
        &attempts.response_starts as &[Option<String>],
        now,
        &moved.ids,
        &moved.statuses as &[&str],
        &moved.dead_reasons as &[Option<&str>],
        &moved.tries,
        &moved.after_seconds as &[Option<f64>],
        &lane_ids,
        &failures,
        &instants(|lane| lane.failing_since) as &[Option<DateTime<Utc>>],
        &instants(|lane| lane.open_until) as &[Option<DateTime<Utc>>],
        &instants(|lane| lane.last_success_at) as &[Option<DateTime<Utc>>],
        &instants(|lane| lane.last_failure_at) as &[Option<DateTime<Utc>>],
    )
    .execute(conn)
    .await
    .map(|_| ())
}
