//! Where tenants want their events sent. Each endpoint has a lane of the same id, in which its deliveries wait.
//!
//! Locks keep the order at the top of [`db`](crate::db): tenant, endpoint, lane; deliveries are passed over where they are locked.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{
    corrupt, deliveries,
    events::{self, EventPosition},
};
use crate::domain::{
    cursor::Cursor,
    delivery::DeadReason,
    event::EventType,
    ids::{EndpointId, TenantId},
    webhook_endpoint::{DisabledReason, EndpointStatus, MOST_ENDPOINTS, WantedEvents},
};

mod switch;

use self::switch::reset_lane;
pub use self::switch::{disable, enable};

/// An endpoint as stored, with how its lane does.
#[derive(Debug)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Where events go.
    pub url: String,
    /// What its tenant calls it.
    pub description: String,
    /// Which events it wants. `None`: all.
    pub event_types: Option<Vec<String>>,
    /// Whether a result goes along.
    pub includes_result: bool,
    /// Whether it is sent anything.
    pub status: EndpointStatus,
    /// Why not.
    pub disabled_reason: Option<DisabledReason>,
    /// Since when not.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its settings or its status changed last.
    pub updated_at: DateTime<Utc>,
    /// How it does.
    pub lane: LaneState,
}

/// How the deliveries of a lane do.
#[derive(Debug, Clone, Copy, Default)]
pub struct LaneState {
    /// Failures since the last success.
    pub failures: i32,
    /// Since when nothing gets through.
    pub failing_since: Option<DateTime<Utc>>,
    /// Nothing is sent before. `None`: the circuit is closed, or about to be tried.
    pub open_until: Option<DateTime<Utc>>,
    /// When something last got through.
    pub last_success_at: Option<DateTime<Utc>>,
    /// When something last did not.
    pub last_failure_at: Option<DateTime<Utc>>,
}

/// The columns, before their text is understood.
struct EndpointRow {
    id: Uuid,
    tenant_id: Uuid,
    url: String,
    description: String,
    event_types: Option<Vec<String>>,
    includes_result: bool,
    status: String,
    disabled_reason: Option<String>,
    disabled_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    failures: i32,
    failing_since: Option<DateTime<Utc>>,
    open_until: Option<DateTime<Utc>>,
    last_success_at: Option<DateTime<Utc>>,
    last_failure_at: Option<DateTime<Utc>>,
}

impl EndpointRow {
    fn understood(self) -> sqlx::Result<Endpoint> {
        let reason = self.disabled_reason.map(|reason| reason.parse());
        Ok(Endpoint {
            id: self.id.into(),
            tenant_id: self.tenant_id.into(),
            url: self.url,
            description: self.description,
            event_types: self.event_types,
            includes_result: self.includes_result,
            status: self.status.parse().map_err(corrupt)?,
            disabled_reason: reason.transpose().map_err(corrupt)?,
            disabled_at: self.disabled_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
            lane: LaneState {
                failures: self.failures,
                failing_since: self.failing_since,
                open_until: self.open_until,
                last_success_at: self.last_success_at,
                last_failure_at: self.last_failure_at,
            },
        })
    }
}

/// Selects endpoints, with how their lanes do. The macros of sqlx take literals only.
macro_rules! select_endpoints {
    ($tail:literal, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            EndpointRow,
            r#"
            SELECT e.id, e.tenant_id, e.url, e.description, e.event_types, e.includes_result, e.status, e.disabled_reason,
                   e.disabled_at, e.created_at, e.updated_at, coalesce(l.failures, 0) AS "failures!", l.failing_since AS "failing_since?",
                   CASE WHEN l.open_until > gateway_now() THEN l.open_until END AS open_until,
                   l.last_success_at AS "last_success_at?", l.last_failure_at AS "last_failure_at?"
            FROM webhook_endpoints e LEFT JOIN delivery_lanes l ON l.id = e.id
            "# + $tail,
            $($argument),+
        )
    };
}

/// An endpoint to be.
#[derive(Debug)]
pub struct NewEndpoint<'a> {
    /// Its id.
    pub id: EndpointId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Where events go.
    pub url: &'a str,
    /// What its tenant calls it.
    pub description: &'a str,
    /// Which events it wants.
    pub event_types: &'a WantedEvents,
    /// Whether a result goes along.
    pub includes_result: bool,
}

/// Adds an endpoint, enabled, with its lane. Its secret follows in the same transaction, and [`change_audience`]. `false` where
/// its tenant has as many as it may have.
///
/// # Errors
/// Where the database does not answer.
pub async fn insert(conn: &mut PgConnection, new: NewEndpoint<'_>) -> sqlx::Result<bool> {
    // One at a time, so that the count holds.
    sqlx::query!(
        "SELECT id FROM tenants WHERE id = $1 FOR NO KEY UPDATE",
        new.tenant_id.0
    )
    .fetch_optional(&mut *conn)
    .await?;
    let event_types = new.event_types.names();
    let inserted = sqlx::query!(
        "
        INSERT INTO webhook_endpoints (id, tenant_id, url, description, event_types, includes_result, status)
        SELECT $1, $2, $3, $4, $5, $6, 'enabled'
        WHERE (SELECT count(*) FROM webhook_endpoints WHERE tenant_id = $2) < $7
        ",
        new.id.0,
        new.tenant_id.0,
        new.url,
        new.description,
        event_types.as_deref() as Option<&[&str]>,
        new.includes_result,
        MOST_ENDPOINTS,
    )
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "INSERT INTO delivery_lanes (id, tenant_id) VALUES ($1, $2)",
        new.id.0,
        new.tenant_id.0,
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// Notes that somebody wants to be told of more than before, so that nothing is numbered from the commit on whose audience was
/// looked for before it. The last statement of its transaction: nothing is numbered until the commit either.
///
/// # Errors
/// Where the database does not answer.
pub async fn change_audience(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("UPDATE event_sequence SET audience_version = audience_version + 1")
        .execute(conn)
        .await
        .map(|_| ())
}

/// Lists a tenant's endpoints, newest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    after: Option<Cursor<EndpointId>>,
    limit: i64,
) -> sqlx::Result<Vec<Endpoint>> {
    let rows = select_endpoints!(
        "
        WHERE e.tenant_id = $1 AND ($2::timestamptz IS NULL OR (e.created_at, e.id) < ($2, $3::uuid))
        ORDER BY e.created_at DESC, e.id DESC LIMIT $4
        ",
        tenant_id.0,
        after.map(|cursor| cursor.created_at),
        after.map(|cursor| cursor.id.0),
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(EndpointRow::understood).collect()
}

/// Finds a tenant's endpoint.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: EndpointId,
) -> sqlx::Result<Option<Endpoint>> {
    let row = select_endpoints!(
        "
        WHERE e.id = $1 AND e.tenant_id = $2
        ",
        id.0,
        tenant_id.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(EndpointRow::understood).transpose()
}

/// What is to be different. `None`: stays as it is.
#[derive(Debug, Default)]
pub struct EndpointChange<'a> {
    /// Where events go.
    pub url: Option<&'a str>,
    /// What its tenant calls it.
    pub description: Option<&'a str>,
    /// Which events it wants.
    pub event_types: Option<&'a WantedEvents>,
    /// Whether a result goes along.
    pub includes_result: Option<bool>,
}

/// Changes a tenant's endpoint. Another URL begins with a clean record. `false` where there is no such endpoint.
///
/// # Errors
/// Where the database does not answer.
pub async fn update(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: EndpointId,
    change: EndpointChange<'_>,
) -> sqlx::Result<bool> {
    let mut tx = conn.begin().await?;
    let old_url = sqlx::query_scalar!(
        "SELECT url FROM webhook_endpoints WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE",
        id.0,
        tenant_id.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(old_url) = old_url else {
        return Ok(false);
    };
    let event_types = change.event_types.and_then(WantedEvents::names);
    sqlx::query!(
        "
        UPDATE webhook_endpoints
        SET url = coalesce($2, url), description = coalesce($3, description),
            event_types = CASE WHEN $4 THEN $5 ELSE event_types END,
            includes_result = coalesce($6, includes_result), updated_at = gateway_now()
        WHERE id = $1
        ",
        id.0,
        change.url,
        change.description,
        change.event_types.is_some(),
        event_types.as_deref() as Option<&[&str]>,
        change.includes_result,
    )
    .execute(&mut *tx)
    .await?;
    if change.url.is_some_and(|url| url != old_url) {
        reset_lane(&mut tx, id).await?;
    }
    if change.event_types.is_some() {
        change_audience(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Deletes a tenant's endpoint with its secrets and its lane; the record of its deliveries stays. `false` where there is no
/// such endpoint.
///
/// [`deliveries::end_pending`] may have left some: go on with it after the commit.
///
/// # Errors
/// Where the database does not answer.
pub async fn delete(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: EndpointId,
) -> sqlx::Result<bool> {
    let mut tx = conn.begin().await?;
    let deleted = sqlx::query!(
        "DELETE FROM webhook_endpoints WHERE id = $1 AND tenant_id = $2",
        id.0,
        tenant_id.0,
    )
    .execute(&mut *tx)
    .await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!("DELETE FROM delivery_lanes WHERE id = $1", id.0)
        .execute(&mut *tx)
        .await?;
    deliveries::end_pending(&mut tx, id, DeadReason::EndpointDeleted).await?;
    tx.commit().await?;
    Ok(true)
}

/// Adds the event that tests a tenant's endpoint, and gives its private position. `None` where the endpoint is not enabled,
/// or there is none.
///
/// # Errors
/// Where the database does not answer.
pub async fn test(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: EndpointId,
) -> sqlx::Result<Option<EventPosition>> {
    let mut tx = conn.begin().await?;
    let enabled = sqlx::query!(
        "
        SELECT id FROM webhook_endpoints
        WHERE id = $1 AND tenant_id = $2 AND status = 'enabled'
        FOR KEY SHARE
        ",
        id.0,
        tenant_id.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if enabled.is_none() {
        return Ok(None);
    }
    let position =
        events::insert_for_endpoint(&mut tx, tenant_id, id, EventType::EndpointTest, None).await?;
    tx.commit().await?;
    Ok(Some(position))
}
