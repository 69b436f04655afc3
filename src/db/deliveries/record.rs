//! How tries went, written down: many in one commit.
//!
//! Ids come in selects of their own: Postgres then expects as many of them in each batch, and does not plan the same statement
//! anew for every one.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::{
    db::corrupt,
    domain::{
        delivery::{DeadReason, DeliveryStatus},
        delivery_schedule::{LONGEST_WAIT, LaneHealth, Sign},
        ids::{DeliveryId, LaneId},
    },
};

/// What came of a claim.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Of which delivery.
    pub delivery_id: DeliveryId,
    /// Its lane.
    pub lane_id: LaneId,
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
/// Where the database does not answer. Nothing is written then, and the same can be tried again.
pub async fn record(
    conn: &mut PgConnection,
    outcomes: &[Outcome],
    jitter: f64,
) -> sqlx::Result<Recorded> {
    let mut tx = conn.begin().await?;
    let mut deliveries = lock_deliveries(&mut tx, outcomes).await?;
    let (now, mut lanes) = lock_lanes(&mut tx, outcomes).await?;
    let mut attempts = Attempts::default();
    for outcome in outcomes {
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
    attempts.insert(&mut tx).await?;
    update_deliveries(&mut tx, &deliveries).await?;
    update_lanes(&mut tx, &lanes).await?;
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
                Next::Dead(_) => self.status = DeliveryStatus::Dead,
                Next::Delivered | Next::TryAgain { .. } => {}
            },
            _ => return,
        }
        self.lease_until = None;
        self.next = Some(outcome.next);
    }
}

/// In the order of their ids, as everybody locks several.
async fn lock_deliveries(
    conn: &mut PgConnection,
    outcomes: &[Outcome],
) -> sqlx::Result<HashMap<DeliveryId, Locked>> {
    let ids: Vec<Uuid> = outcomes
        .iter()
        .map(|outcome| outcome.delivery_id.0)
        .collect();
    sqlx::query!(
        "SELECT id FROM deliveries WHERE id = ANY (ARRAY(SELECT unnest($1::uuid[]))) ORDER BY id FOR NO KEY UPDATE",
        &ids
    )
    .fetch_all(&mut *conn)
    .await?;
    // A statement of its own: it sees what whoever had the locks before has done, such as to erase the job.
    let rows = sqlx::query!(
        r#"
        SELECT d.id, d.status, d.lease_until, d.tries,
               coalesce((SELECT max(number) FROM delivery_attempts a WHERE a.delivery_id = d.id), 0) AS "last_attempt!",
               EXISTS (SELECT FROM jobs j WHERE j.id = d.job_id AND j.deleted_at IS NOT NULL) AS "is_erased!"
        FROM deliveries d WHERE d.id = ANY (ARRAY(SELECT unnest($1::uuid[])))
        "#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let locked = Locked {
                status: row.status.parse().map_err(corrupt)?,
                lease_until: row.lease_until,
                tries: row.tries,
                last_attempt: row.last_attempt,
                is_erased: row.is_erased,
                next: None,
            };
            Ok((row.id.into(), locked))
        })
        .collect()
}

/// The lanes of which there is news, and the time.
async fn lock_lanes(
    conn: &mut PgConnection,
    outcomes: &[Outcome],
) -> sqlx::Result<(DateTime<Utc>, HashMap<LaneId, LaneHealth>)> {
    let ids: BTreeSet<Uuid> = outcomes
        .iter()
        .filter(|outcome| outcome.sign.is_some())
        .map(|outcome| outcome.lane_id.0)
        .collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let rows = sqlx::query!(
        r#"
        SELECT id, failures, failing_since, open_until, last_success_at, last_failure_at
        FROM delivery_lanes WHERE id = ANY (ARRAY(SELECT unnest($1::uuid[]))) ORDER BY id
        FOR NO KEY UPDATE
        "#,
        &ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let lanes = rows
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
        .collect();
    // After the locks, so that time does not run backwards from one record to the next.
    Ok((crate::db::clock::now(conn).await?, lanes))
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

    async fn insert(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        if self.delivery_ids.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "
            INSERT INTO delivery_attempts
                (delivery_id, number, started_at, duration_ms, http_status, error, error_detail, response_start)
            SELECT * FROM unnest($1::uuid[], $2::integer[], $3::timestamptz[], $4::integer[], $5::integer[], $6::text[],
                                 $7::text[], $8::text[])
            ",
            &self.delivery_ids,
            &self.numbers,
            &self.started_at,
            &self.durations_ms,
            &self.http_statuses as &[Option<i32>],
            &self.errors as &[Option<&str>],
            &self.error_details as &[Option<String>],
            &self.response_starts as &[Option<String>],
        )
        .execute(conn)
        .await
        .map(|_| ())
    }
}

async fn update_deliveries(
    conn: &mut PgConnection,
    deliveries: &HashMap<DeliveryId, Locked>,
) -> sqlx::Result<()> {
    let moved: Vec<(Uuid, &Locked, Next)> = deliveries
        .iter()
        .filter_map(|(id, delivery)| Some((id.0, delivery, delivery.next?)))
        .collect();
    let ids: Vec<Uuid> = moved.iter().map(|(id, ..)| *id).collect();
    let statuses: Vec<&str> = moved
        .iter()
        .map(|(_, delivery, _)| delivery.status.as_str())
        .collect();
    let tries: Vec<i32> = moved
        .iter()
        .map(|(_, delivery, _)| delivery.tries)
        .collect();
    let dead_reasons: Vec<Option<&str>> = moved
        .iter()
        .map(|(.., next)| match next {
            Next::Dead(reason) => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    let after_seconds: Vec<Option<f64>> = moved
        .iter()
        .map(|(.., next)| match next {
            Next::TryAgain { after } | Next::GiveBack { after } => Some(after.as_secs_f64()),
            Next::Delivered | Next::Dead(_) => None,
        })
        .collect();
    sqlx::query!(
        "
        UPDATE deliveries d
        SET status = m.status, dead_reason = m.dead_reason, tries = m.tries, lease_until = NULL, worker = NULL,
            next_try_at = coalesce(gateway_now() + make_interval(secs => m.after_seconds), d.next_try_at),
            finished_at = CASE WHEN m.status <> 'pending' THEN gateway_now() END
        FROM unnest((SELECT $1::uuid[]), $2::text[], $3::text[], $4::integer[], $5::float8[])
             AS m (id, status, dead_reason, tries, after_seconds)
        -- Locked, so nobody has moved them.
        WHERE d.id = m.id AND d.id = ANY (ARRAY(SELECT unnest($1::uuid[])))
        ",
        &ids,
        &statuses as &[&str],
        &dead_reasons as &[Option<&str>],
        &tries,
        &after_seconds as &[Option<f64>],
    )
    .execute(conn)
    .await
    .map(|_| ())
}

async fn update_lanes(
    conn: &mut PgConnection,
    lanes: &HashMap<LaneId, LaneHealth>,
) -> sqlx::Result<()> {
    if lanes.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = lanes.keys().map(|id| id.0).collect();
    let failures: Vec<i32> = lanes
        .values()
        .map(|lane| i32::try_from(lane.failures).unwrap_or(i32::MAX))
        .collect();
    let instants = |of: fn(&LaneHealth) -> Option<DateTime<Utc>>| -> Vec<Option<DateTime<Utc>>> {
        lanes.values().map(of).collect()
    };
    sqlx::query!(
        "
        UPDATE delivery_lanes l
        SET failures = n.failures, failing_since = n.failing_since, open_until = n.open_until,
            last_success_at = n.last_success_at, last_failure_at = n.last_failure_at
        FROM unnest((SELECT $1::uuid[]), $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[],
                    $6::timestamptz[])
             AS n (id, failures, failing_since, open_until, last_success_at, last_failure_at)
        WHERE l.id = n.id AND l.id = ANY (ARRAY(SELECT unnest($1::uuid[])))
        ",
        &ids,
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

/// Gives up what has waited at a failing receiver for longer than any schedule lasts, `limit` at most. What waited because
/// this service stood still is not: at the failure that counts it had waited that long already.
///
/// # Errors
/// Where the database does not answer.
pub async fn expire(
    conn: &mut PgConnection,
    lane_id: LaneId,
    failed_at: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        UPDATE deliveries
        SET status = 'dead', dead_reason = 'expired', finished_at = gateway_now(), lease_until = NULL, worker = NULL
        WHERE id IN (
            SELECT id FROM deliveries
            WHERE lane_id = $1 AND status = 'pending' AND queued_at <= $2
              -- Somebody is sending it.
              AND (lease_until IS NULL OR lease_until < gateway_now())
            ORDER BY queued_at LIMIT $3
            FOR UPDATE SKIP LOCKED
        ) AND status = 'pending'
        ",
        lane_id.0,
        failed_at - LONGEST_WAIT,
        limit,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}
