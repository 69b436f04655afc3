//! Reading the log by its public numbers.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::EventPosition;
use crate::domain::{
    event::{Event, EventFacts, EventId, EventType, Subject},
    ids::{JobId, TenantId},
};

/// The columns of a numbered event, before their text is understood.
pub(in crate::db) struct EventRow {
    pub number: i64,
    pub tenant_id: Uuid,
    pub job_id: Option<Uuid>,
    pub endpoint_id: Option<Uuid>,
    pub event_type: String,
    pub occurred_at: DateTime<Utc>,
    pub data: Option<String>,
}

impl EventRow {
    /// `None` where a newer version has written a type that this one does not know.
    pub fn understood(self) -> Option<Event> {
        let kind = self.event_type.parse::<EventType>().ok()?.public()?;
        let subject = match (self.job_id, self.endpoint_id) {
            (Some(id), _) => Subject::Job(id.into()),
            (None, Some(id)) => Subject::Endpoint(id.into()),
            (None, None) => return None,
        };
        let facts = match self.data {
            // One row that cannot be understood must not keep everybody from all the others.
            Some(data) => serde_json::from_str::<EventFacts>(&data).unwrap_or_else(|error| {
                tracing::error!(%error, event.id = self.number, "What an event says cannot be understood");
                EventFacts::default()
            }),
            None => EventFacts::default(),
        };
        Some(Event {
            id: EventId(self.number),
            tenant_id: self.tenant_id.into(),
            subject,
            kind,
            occurred_at: self.occurred_at,
            facts,
        })
    }
}

/// Understands rows, and passes over what a newer version has written.
pub(super) fn understood(rows: Vec<EventRow>) -> Vec<Event> {
    rows.into_iter().filter_map(EventRow::understood).collect()
}

/// The last number that was given.
///
/// # Errors
/// Where the database does not answer.
pub async fn last_id(conn: &mut PgConnection) -> sqlx::Result<EventId> {
    sqlx::query_scalar!("SELECT last_number FROM event_sequence")
        .fetch_one(conn)
        .await
        .map(EventId)
}

/// The number of the event at a private position, once it has one.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_id(
    conn: &mut PgConnection,
    position: EventPosition,
) -> sqlx::Result<Option<EventId>> {
    let number = sqlx::query_scalar!("SELECT number FROM events WHERE position = $1", position.0)
        .fetch_optional(conn)
        .await?;
    Ok(number.flatten().map(EventId))
}

/// Lists the events of all tenants after one, in order, and says how far it looked.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_after(
    conn: &mut PgConnection,
    after: EventId,
    limit: i64,
) -> sqlx::Result<(Vec<Event>, EventId)> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"
        SELECT number AS "number!", tenant_id, job_id, endpoint_id, type AS event_type, occurred_at,
               data::text AS data
        FROM events
        WHERE number > $1 AND number > 0
        ORDER BY number LIMIT $2
        "#,
        after.0,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let looked = rows.last().map_or(after, |row| EventId(row.number));
    Ok((understood(rows), looked))
}

/// Whether more is to be told of a job by itself: it has not ended, or how it did waits for its number. Where not, its
/// events that have numbers are all. `None`: the tenant has no such job.
///
/// # Errors
/// Where the database does not answer.
pub async fn may_go_on(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    job_id: JobId,
) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        r#"
        SELECT j.finished_at IS NULL OR EXISTS (
            SELECT FROM events e
            WHERE e.job_id = j.id AND e.number IS NULL
              AND e.type NOT IN ('transcription.submitting', 'transcription.requeued', 'transcription.unknown')
            OFFSET 0
        ) AS "may_go_on!"
        FROM jobs j WHERE j.id = $2 AND j.tenant_id = $1
        "#,
        tenant_id.0,
        job_id.0,
    )
    .fetch_optional(conn)
    .await
}
