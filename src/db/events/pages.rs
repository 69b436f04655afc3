//! The log as one tenant, or one job, reads it: page by page.

use sqlx::PgConnection;

use super::{
    EventType,
    read::{EventRow, last_id, understood},
};
use crate::domain::{
    event::{Event, EventId, PublicEventType},
    ids::{JobId, TenantId},
};

/// How many of a tenant's events a page looks at where it wants only some of them.
const MOST_LOOKED_AT: i64 = 10_000;

/// Events in the order of their numbers.
#[derive(Debug)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// How far it looked: whoever goes on after this misses nothing. Never less than what the page begins after.
    pub through: EventId,
    /// Whether there is more already.
    pub has_more: bool,
}

impl EventPage {
    /// From one row more than were asked for, if there are so many. Otherwise all of them up to `through` are there.
    fn of(mut rows: Vec<EventRow>, limit: i64, through: EventId) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().map(|row| EventId(row.number));
        Self {
            through: match last {
                Some(last) if has_more => last,
                last => last.map_or(through, |last| last.max(through)),
            },
            events: understood(rows),
            has_more,
        }
    }
}

/// Lists a tenant's events after one, `limit` at most. `types`: only these; `None`: all.
///
/// Events may be deleted while this reads. So what comes of [`bounds`] *afterwards* says whether the page begins where it
/// was asked to: if the horizon is beyond `after`, some may be missing.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_of_tenant_after(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    after: EventId,
    types: Option<&[PublicEventType]>,
    limit: i64,
) -> sqlx::Result<EventPage> {
    // Before the events: all that have a number up to this are seen by the statements that follow.
    let last = last_id(&mut *conn).await?.max(after);
    let (through, types) = match types {
        None => (last, None),
        Some(types) => {
            let names: Vec<String> = EventType::told_as(types)
                .into_iter()
                .map(|event| event.as_str().to_owned())
                .collect();
            let bound = bound_of_look(&mut *conn, tenant_id, after).await?;
            (bound.map_or(last, |bound| bound.min(last)), Some(names))
        }
    };
    let rows = sqlx::query_as!(
        EventRow,
        r#"
        SELECT number AS "number!", tenant_id, job_id, endpoint_id, type AS event_type, occurred_at,
               data::text AS data
        FROM events
        -- As rows, so that no index but the tenant's own answers: where tenants are few, Postgres would rather walk all that
        -- others have done since.
        WHERE (tenant_id, number) > ($1, $2) AND (tenant_id, number) <= ($1, $3) AND number > 0
          AND ($4::text[] IS NULL OR type = ANY ($4))
        ORDER BY tenant_id, number LIMIT $5
        "#,
        tenant_id.0,
        after.0,
        through.0,
        types.as_deref(),
        limit.saturating_add(1),
    )
    .fetch_all(conn)
    .await?;
    let page = EventPage::of(rows, limit, through);
    Ok(EventPage {
        has_more: page.has_more || through < last,
        ..page
    })
}

/// Where a look for some types has to end, if before the end of the log: so that what is rare does not cost a look at
/// everything in one statement.
async fn bound_of_look(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    after: EventId,
) -> sqlx::Result<Option<EventId>> {
    let row = sqlx::query!(
        r#"
        SELECT number AS "number!" FROM events
        -- As rows, for the same reason as the page. Numbers end there.
        WHERE (tenant_id, number) > ($1, $2) AND (tenant_id, number) <= ($1, 9223372036854775807) AND number > 0
        ORDER BY tenant_id, number OFFSET $3 LIMIT 1
        "#,
        tenant_id.0,
        after.0,
        MOST_LOOKED_AT,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| EventId(row.number)))
}

/// Lists a job's events after one, `limit` at most.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_of_job_after(
    conn: &mut PgConnection,
    job_id: JobId,
    after: EventId,
    limit: i64,
) -> sqlx::Result<EventPage> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"
        SELECT number AS "number!", tenant_id, job_id, endpoint_id, type AS event_type, occurred_at,
               data::text AS data
        FROM events
        WHERE job_id = $1 AND number > $2 AND number > 0
        ORDER BY number LIMIT $3
        "#,
        job_id.0,
        after.0,
        limit.saturating_add(1),
    )
    .fetch_all(conn)
    .await?;
    Ok(EventPage::of(rows, limit, after))
}

/// Where the log begins and ends for a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// As [`horizon`] says.
    pub horizon: EventId,
    /// The last number that was given, to whomever's event.
    pub last: EventId,
}

/// Reads where the log begins and ends for a tenant.
///
/// # Errors
/// Where the database does not answer.
pub async fn bounds(conn: &mut PgConnection, tenant_id: TenantId) -> sqlx::Result<Bounds> {
    let row = sqlx::query!(
        r#"
        SELECT last_number, (SELECT expired_through FROM event_horizons WHERE tenant_id = $1) AS "expired_through?"
        FROM event_sequence
        "#,
        tenant_id.0
    )
    .fetch_one(conn)
    .await?;
    Ok(Bounds {
        horizon: row.expired_through.map_or(EventId::ZERO, EventId),
        last: EventId(row.last_number),
    })
}

/// How far a tenant's events are gone. Whoever has not seen the one with this number may have missed some. Of the events
/// up to it, those of jobs that have not ended are still there.
///
/// # Errors
/// Where the database does not answer.
pub async fn horizon(conn: &mut PgConnection, tenant_id: TenantId) -> sqlx::Result<EventId> {
    sqlx::query!(
        "SELECT expired_through FROM event_horizons WHERE tenant_id = $1",
        tenant_id.0
    )
    .fetch_optional(conn)
    .await
    .map(|row| row.map_or(EventId::ZERO, |row| EventId(row.expired_through)))
}
