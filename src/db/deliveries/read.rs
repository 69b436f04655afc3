//! Deliveries as their tenant sees them, newest first, and how each try went.
//!
//! A page costs about as many rows as it shows, whatever else the tenant has. So each kind of filter is a statement of its
//! own, which walks along the index that serves it, each status by itself.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    db::corrupt,
    domain::{
        cursor::Cursor,
        delivery::{DeadReason, DeliveryStatus},
        delivery_filter::DeliveryFilter,
        event::EventId,
        ids::{DeliveryId, EndpointId, JobId, TenantId},
    },
};

/// How many tries are shown, the latest ones: replays add to them without end.
const MOST_ATTEMPTS: i64 = 100;

/// A delivery as stored.
#[derive(Debug)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// What it tells of.
    pub event_id: EventId,
    /// The public type of that.
    pub event_type: String,
    /// The job that it is about.
    pub job_id: Option<JobId>,
    /// Where it goes. `None`: it is the callback of its job.
    pub endpoint_id: Option<EndpointId>,
    /// Scheme, host and port of a callback.
    pub origin: Option<String>,
    /// Where it is.
    pub status: DeliveryStatus,
    /// Why it is dead. `None` also for a reason that a newer version has written.
    pub dead_reason: Option<DeadReason>,
    /// Tries since it was made, or replayed.
    pub tries: i32,
    /// When it is tried next, while it is pending.
    pub next_try_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The columns of a delivery, before their text is understood.
struct DeliveryRow {
    id: Uuid,
    event_number: i64,
    event_type: String,
    job_id: Option<Uuid>,
    endpoint_id: Option<Uuid>,
    origin: Option<String>,
    status: String,
    dead_reason: Option<String>,
    tries: i32,
    next_try_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = sqlx::Error;

    fn try_from(row: DeliveryRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id.into(),
            event_id: EventId(row.event_number),
            event_type: row.event_type,
            job_id: row.job_id.map(Into::into),
            endpoint_id: row.endpoint_id.map(Into::into),
            origin: row.origin,
            status: row.status.parse().map_err(corrupt)?,
            dead_reason: row.dead_reason.and_then(|text| text.parse().ok()),
            tries: row.tries,
            next_try_at: row.next_try_at,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

/// One list of columns for every way to find deliveries. The macros of sqlx take literals only.
macro_rules! select_deliveries {
    ($tail:tt, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            DeliveryRow,
            r#"
            SELECT d.id, d.event_number, d.event_type, d.job_id, d.endpoint_id, l.origin AS "origin?", d.status,
                   d.dead_reason, d.tries,
                   -- Nothing is sent in a lane that rests.
                   CASE WHEN d.status = 'pending' THEN greatest(d.next_try_at, l.open_until) END AS next_try_at,
                   d.created_at, d.finished_at
            FROM deliveries d LEFT JOIN delivery_lanes l ON l.id = d.lane_id
            "# + $tail,
            $($argument),*
        )
    };
}

/// What every statement is asked for.
struct Asked {
    tenant_id: Uuid,
    statuses: Vec<String>,
    endpoint_id: Option<Uuid>,
    job_id: Option<Uuid>,
    event_number: Option<i64>,
    after_at: Option<DateTime<Utc>>,
    after_id: Option<Uuid>,
    limit: i64,
}

/// Lists a tenant's deliveries, newest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    filter: &DeliveryFilter,
    after: Option<Cursor<DeliveryId>>,
    limit: i64,
) -> sqlx::Result<Vec<Delivery>> {
    let statuses: Vec<DeliveryStatus> = match filter.status {
        Some(status) => vec![status],
        None => DeliveryStatus::ALL.to_vec(),
    };
    let asked = Asked {
        tenant_id: tenant_id.0,
        statuses: statuses
            .into_iter()
            .map(|status| status.as_str().to_owned())
            .collect(),
        endpoint_id: filter.endpoint_id.map(|id| id.0),
        job_id: filter.job_id.map(|id| id.0),
        event_number: filter.event_id.map(|id| id.0),
        after_at: after.map(|cursor| cursor.created_at),
        after_id: after.map(|cursor| cursor.id.0),
        limit,
    };
    let rows = match (asked.event_number, asked.job_id, asked.endpoint_id) {
        (Some(number), ..) => of_event(conn, &asked, number).await?,
        (None, Some(job_id), _) => of_job(conn, &asked, job_id).await?,
        (None, None, Some(endpoint_id)) => of_endpoint(conn, &asked, endpoint_id).await?,
        (None, None, None) => all(conn, &asked).await?,
    };
    rows.into_iter().map(Delivery::try_from).collect()
}

/// Along `deliveries_of_job`, since an event stays for as long as a delivery of it, or `deliveries_without_job`: a row for each
/// receiver.
async fn of_event(
    conn: &mut PgConnection,
    asked: &Asked,
    number: i64,
) -> sqlx::Result<Vec<DeliveryRow>> {
    select_deliveries!(
        r#"
        WHERE d.id = ANY (ARRAY(
                  SELECT id FROM deliveries
                  WHERE job_id = (SELECT e.job_id FROM events e WHERE e.number = $1 AND e.number > 0) AND event_number = $1
                  UNION ALL
                  SELECT id FROM deliveries WHERE job_id IS NULL AND event_number = $1))
          AND d.tenant_id IS NOT DISTINCT FROM $2 AND d.status = ANY ($3::text[])
          AND ($4::uuid IS NULL OR d.job_id = $4) AND ($5::uuid IS NULL OR d.endpoint_id = $5)
          AND (d.created_at, d.id) < (coalesce($6::timestamptz, 'infinity'),
                                      coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
        ORDER BY d.created_at DESC, d.id DESC LIMIT $8
        "#,
        number,
        asked.tenant_id,
        &asked.statuses,
        asked.job_id,
        asked.endpoint_id,
        asked.after_at,
        asked.after_id,
        asked.limit,
    )
    .fetch_all(conn)
    .await
}

/// Along `deliveries_of_job`, which has a row for each of its events and receivers.
async fn of_job(
    conn: &mut PgConnection,
    asked: &Asked,
    job_id: Uuid,
) -> sqlx::Result<Vec<DeliveryRow>> {
    select_deliveries!(
        r#"
        -- Whose it is, in words that no index answers: `deliveries_list` would lead through those of all its jobs.
        WHERE d.job_id = $1 AND d.tenant_id IS NOT DISTINCT FROM $2 AND d.status = ANY ($3::text[])
          AND ($4::uuid IS NULL OR d.endpoint_id = $4)
          AND (d.created_at, d.id) < (coalesce($5::timestamptz, 'infinity'),
                                      coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
        ORDER BY d.created_at DESC, d.id DESC LIMIT $7
        "#,
        job_id,
        asked.tenant_id,
        &asked.statuses,
        asked.endpoint_id,
        asked.after_at,
        asked.after_id,
        asked.limit,
    )
    .fetch_all(conn)
    .await
}

/// Along `deliveries_of_endpoint`, for each status by itself: the index is in order only within one.
async fn of_endpoint(
    conn: &mut PgConnection,
    asked: &Asked,
    endpoint_id: Uuid,
) -> sqlx::Result<Vec<DeliveryRow>> {
    select_deliveries!(
        r#"
        WHERE d.id IN (
            SELECT newest.id
            FROM unnest($3::text[]) AS wanted (status) CROSS JOIN LATERAL (
                SELECT s.id, s.created_at FROM deliveries s
                -- Whose it is, in words that no index answers: `deliveries_list` would lead through those of all its receivers.
                WHERE s.endpoint_id = $1 AND s.tenant_id IS NOT DISTINCT FROM $2 AND s.status = wanted.status
                  AND (s.created_at, s.id) < (coalesce($4::timestamptz, 'infinity'),
                                              coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                ORDER BY s.created_at DESC, s.id DESC LIMIT $6
            ) newest
            ORDER BY newest.created_at DESC, newest.id DESC LIMIT $6
        )
        ORDER BY d.created_at DESC, d.id DESC
        "#,
        endpoint_id,
        asked.tenant_id,
        &asked.statuses,
        asked.after_at,
        asked.after_id,
        asked.limit,
    )
    .fetch_all(conn)
    .await
}

/// Along `deliveries_list`, likewise.
async fn all(conn: &mut PgConnection, asked: &Asked) -> sqlx::Result<Vec<DeliveryRow>> {
    select_deliveries!(
        r#"
        WHERE d.id IN (
            SELECT newest.id
            FROM unnest($2::text[]) AS wanted (status) CROSS JOIN LATERAL (
                SELECT s.id, s.created_at FROM deliveries s
                WHERE s.tenant_id = $1 AND s.status = wanted.status
                  AND (s.created_at, s.id) < (coalesce($3::timestamptz, 'infinity'),
                                              coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                ORDER BY s.created_at DESC, s.id DESC LIMIT $5
            ) newest
            ORDER BY newest.created_at DESC, newest.id DESC LIMIT $5
        )
        ORDER BY d.created_at DESC, d.id DESC
        "#,
        asked.tenant_id,
        &asked.statuses,
        asked.after_at,
        asked.after_id,
        asked.limit,
    )
    .fetch_all(conn)
    .await
}

/// Finds a tenant's delivery. Another tenant's is not found.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: DeliveryId,
) -> sqlx::Result<Option<Delivery>> {
    select_deliveries!("WHERE d.id = $1 AND d.tenant_id = $2", id.0, tenant_id.0,)
        .fetch_optional(conn)
        .await?
        .map(Delivery::try_from)
        .transpose()
}

/// How a try went.
#[derive(Debug)]
pub struct DeliveryAttempt {
    /// Its number, over all replays.
    pub number: i32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: i32,
    /// The answer's status, where there was one.
    pub http_status: Option<i32>,
    /// Why it did not get through, as a stable code.
    pub error: Option<String>,
    /// The same for people.
    pub error_detail: Option<String>,
    /// The first bytes of the answer.
    pub response_start: Option<String>,
}

/// Lists the latest tries of a delivery, in their order.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_attempts(
    conn: &mut PgConnection,
    id: DeliveryId,
) -> sqlx::Result<Vec<DeliveryAttempt>> {
    let mut attempts = sqlx::query_as!(
        DeliveryAttempt,
        "
        SELECT number, started_at, duration_ms, http_status, error, error_detail, response_start
        FROM delivery_attempts WHERE delivery_id = $1 ORDER BY number DESC LIMIT $2
        ",
        id.0,
        MOST_ATTEMPTS,
    )
    .fetch_all(conn)
    .await?;
    attempts.reverse();
    Ok(attempts)
}
