//! The sequencer: committed events get their public numbers.

use sqlx::PgConnection;

use super::read::{EventRow, understood};
use crate::domain::event::{Event, EventId, EventType};

/// Whether events wait for their numbers.
///
/// # Errors
/// Where the database does not answer.
pub async fn is_any_unnumbered(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query!(
        r#"
        SELECT (
            SELECT position FROM events
            WHERE number IS NULL
              AND type NOT IN ('transcription.submitting', 'transcription.requeued', 'transcription.unknown')
              AND type = ANY ($1)
            -- Ordered, or Postgres reads the whole log: it expects what is never numbered to be found soon.
            ORDER BY position LIMIT 1
        ) IS NOT NULL AS "any!"
        "#,
        &known_types() as &[&str],
    )
    .fetch_one(conn)
    .await
    .map(|row| row.any)
}

/// Events that have just got their numbers: all after one, through another.
#[derive(Debug)]
pub struct Numbered {
    /// The last number before them.
    pub after: EventId,
    /// The last of theirs.
    pub through: EventId,
    /// They, in the order of their numbers, without those that only a newer version understands.
    pub events: Vec<Event>,
    /// Whether there may be more.
    pub has_more: bool,
}

/// Numbers committed events, `limit` at most, in the order in which they were added. The caller's transaction makes it true
/// for everybody. `None`: there are none.
///
/// # Errors
/// Where the database does not answer.
pub async fn number_next(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Option<Numbered>> {
    // One at a time, in all replicas, until its commit. A statement of its own: the next one begins after whoever had the
    // lock before has committed, and so sees every event that got a number.
    let last = sqlx::query!("SELECT last_number FROM event_sequence FOR UPDATE")
        .fetch_one(&mut *conn)
        .await?
        .last_number;
    let rows = sqlx::query_as!(
        EventRow,
        r#"
        WITH unnumbered AS (
            SELECT position FROM events
            -- In the words of the index that has them.
            WHERE number IS NULL
              AND type NOT IN ('transcription.submitting', 'transcription.requeued', 'transcription.unknown')
              -- What a newer version tells of is for that one to number, since it alone knows whom to tell.
              AND type = ANY ($3)
            ORDER BY position LIMIT $2
        ), next AS (
            SELECT position, $1 + row_number() OVER (ORDER BY position) AS number FROM unnumbered
        ), numbered AS (
            UPDATE events e
            SET number = next.number
            FROM next WHERE e.position = next.position
            RETURNING next.number, e.tenant_id, e.job_id, e.endpoint_id, e.type AS event_type, e.occurred_at, e.data
        ), noted AS (
            UPDATE event_sequence SET last_number = (SELECT max(number) FROM numbered)
            WHERE EXISTS (SELECT FROM numbered)
        )
        SELECT number AS "number!", tenant_id AS "tenant_id!", job_id, endpoint_id, event_type AS "event_type!",
               occurred_at AS "occurred_at!", data
        FROM numbered ORDER BY number
        "#,
        last,
        limit,
        &known_types() as &[&str],
    )
    .fetch_all(&mut *conn)
    .await?;
    let Some(newest) = rows.last().map(|row| row.number) else {
        return Ok(None);
    };
    Ok(Some(Numbered {
        after: EventId(last),
        through: EventId(newest),
        has_more: i64::try_from(rows.len()).is_ok_and(|count| count == limit),
        events: understood(rows),
    }))
}

/// The types that this version tells of.
fn known_types() -> Vec<&'static str> {
    EventType::ALL
        .into_iter()
        .filter(|kind| kind.public().is_some())
        .map(EventType::as_str)
        .collect()
}
