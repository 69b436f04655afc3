//! The event log: a row in the transaction that makes each change, and its public number afterwards.
//!
//! Transactions commit in another order than they take their private `position`, so a reader who went by that would pass
//! over rows that become visible late. [`number_next`] gives committed rows the next public numbers, under one row lock, in a
//! statement that begins after the lock is held: whoever has seen a number never misses a smaller one.

use sqlx::PgConnection;
use uuid::Uuid;

pub use crate::domain::event::EventType;
use crate::domain::ids::{EndpointId, JobId, TenantId};

mod forget;
mod pages;
mod read;
mod sequence;

pub(super) use self::read::EventRow;
pub(in crate::db) use self::sequence::known_types;
pub use self::{
    forget::{Forgotten, forget},
    pages::{Bounds, EventPage, bounds, horizon, list_of_job_after, list_of_tenant_after},
    read::{find_id, last_id, list_after, may_go_on},
    sequence::{Audience, Numbered, begin_numbering, is_any_unnumbered, number_next},
};

/// Adds an event.
///
/// # Errors
/// Where the database does not answer.
pub async fn insert(conn: &mut PgConnection, job_id: JobId, event: EventType) -> sqlx::Result<()> {
    insert_all(conn, &[job_id], event).await
}

/// Adds the same event to several jobs, in the order of their ids. It says of each how the row stands now.
///
/// # Errors
/// Where the database does not answer.
pub async fn insert_all(
    conn: &mut PgConnection,
    job_ids: &[JobId],
    event: EventType,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = job_ids.iter().map(|id| id.0).collect();
    sqlx::query!(
        "
        INSERT INTO events (tenant_id, job_id, type, data)
        SELECT tenant_id, id, $2,
               CASE WHEN $3 THEN json_strip_nulls(json_build_object(
                   'status', status, 'status_reason', status_reason, 'error_type', error_type,
                   'error_code', error_code, 'batch_id', batch_id,
                   'received_at', CASE $2
                       WHEN 'transcription.done' THEN
                           (SELECT received_at FROM callbacks WHERE id = result_callback_id)
                       WHEN 'transcription.error' THEN
                           (SELECT max(c.received_at) FROM callbacks c JOIN attempts a ON a.id = c.attempt_id
                            WHERE a.job_id = jobs.id AND c.outcome = 'failed'
                              -- An earlier one is of another end.
                              AND a.number = (SELECT max(number) FROM attempts WHERE job_id = jobs.id))
                   END))
               END
        FROM jobs WHERE id = ANY ($1) ORDER BY id
        ",
        &ids,
        event.as_str(),
        event.public().is_some(),
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Where an event stands in the log. Nobody outside is told: callers know its number, an [`EventId`](crate::domain::event::EventId).
/// The default stands before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventPosition(i64);

/// Adds an event that is about a webhook endpoint, and gives its private position.
///
/// # Errors
/// Where the database does not answer.
pub async fn insert_for_endpoint(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    endpoint_id: EndpointId,
    event: EventType,
    disabled_reason: Option<&str>,
) -> sqlx::Result<EventPosition> {
    sqlx::query_scalar!(
        "
        INSERT INTO events (tenant_id, endpoint_id, type, data)
        VALUES ($1, $2, $3, json_strip_nulls(json_build_object('disabled_reason', $4::text)))
        RETURNING position
        ",
        tenant_id.0,
        endpoint_id.0,
        event.as_str(),
        disabled_reason,
    )
    .fetch_one(conn)
    .await
    .map(EventPosition)
}
