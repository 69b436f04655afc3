//! The sequencer: committed events get their public numbers.

use sqlx::{Connection, PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::read::EventRow;
use crate::domain::{
    event::{Event, EventId, EventType, PublicEventType},
    ids::{EndpointId, TenantId},
};

/// Whether events wait for their numbers.
///
/// # Errors
/// Where the database does not answer.
pub async fn is_any_unnumbered(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
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
}

/// Events that have just got their numbers: all after one, through another.
#[derive(Debug)]
pub struct Numbered {
    /// The last number before them.
    pub after: EventId,
    /// The last of theirs.
    pub through: EventId,
    /// The events, in the order of their numbers, without those that only a newer version understands.
    pub events: Vec<Event>,
    /// Who wants to be told of each of them, in the same order.
    pub audiences: Vec<Audience>,
    /// Whether there may be more.
    pub has_more: bool,
}

/// Who wants to be told of an event.
#[derive(Debug)]
pub struct Audience {
    /// The endpoints. One that is disabled at this moment may still be among them.
    pub endpoint_ids: Vec<EndpointId>,
    /// Where the caller wants to be called now that the job has ended, as stored.
    pub callback: Option<String>,
}

/// Begins a transaction that numbers events: one at a time, in all replicas, until its commit.
///
/// The lock is in the same message as the beginning, and in a statement of its own: the next one begins after whoever had
/// the lock before has committed, and so sees every event that got a number.
///
/// # Errors
/// Where the database does not answer. The connection may have begun all the same, so it is of no use any more.
pub async fn begin_numbering(conn: &mut PgConnection) -> sqlx::Result<Transaction<'_, Postgres>> {
    conn.begin_with("BEGIN; SELECT FROM event_sequence FOR UPDATE")
        .await
}

/// Numbers committed events, `limit` at most, in the order in which they were added and without those of some tenants, and finds
/// who is to be told. The caller's transaction holds the lock, and makes it true for everybody. `None`: there are none.
///
/// # Errors
/// Where the database does not answer.
pub async fn number_next(
    tx: &mut Transaction<'_, Postgres>,
    passed_over: &[TenantId],
    limit: i64,
) -> sqlx::Result<Option<Numbered>> {
    let passed_over: Vec<Uuid> = passed_over.iter().map(|tenant| tenant.0).collect();
    let rows = sqlx::query!(
        r#"
        WITH last AS (
            SELECT last_number AS number FROM event_sequence
        ), unnumbered AS (
            SELECT position FROM events
            -- In the words of the index that has them.
            WHERE number IS NULL
              AND type NOT IN ('transcription.submitting', 'transcription.requeued', 'transcription.unknown')
              -- What a newer version tells of is for that one to number, since it alone knows whom to tell.
              AND type = ANY ($2)
              AND tenant_id <> ALL ($5)
            ORDER BY position LIMIT $1
        ), next AS (
            SELECT position, (SELECT number FROM last) + row_number() OVER (ORDER BY position) AS number FROM unnumbered
        ), numbered AS (
            UPDATE events e
            SET number = next.number
            -- As an array, so that no plan reads the whole log to find them, however many it expects.
            FROM next WHERE e.position = next.position AND e.position = ANY (ARRAY(SELECT position FROM unnumbered))
            RETURNING next.number, e.tenant_id, e.job_id, e.endpoint_id, e.type, e.occurred_at, e.data
        ), noted AS (
            UPDATE event_sequence SET last_number = (SELECT max(number) FROM numbered)
            WHERE EXISTS (SELECT FROM numbered)
        )
        SELECT n.number AS "number!", n.tenant_id AS "tenant_id!", n.job_id, n.endpoint_id, n.type AS "event_type!",
               n.occurred_at AS "occurred_at!", n.data::text AS data, (SELECT number FROM last) AS "after!",
               ARRAY(SELECT w.id FROM webhook_endpoints w
                     WHERE w.tenant_id = n.tenant_id AND w.status = 'enabled'
                       -- A test goes to the one that is tested, and there always.
                       AND CASE WHEN n.type = $3 THEN w.id = n.endpoint_id
                                ELSE w.event_types IS NULL
                                     -- By the name that callers know: a job that is tried again is in line again.
                                     OR CASE n.type WHEN 'transcription.retried' THEN 'transcription.queued'
                                                    ELSE n.type END = ANY (w.event_types)
                                END) AS "endpoint_ids!",
               (SELECT j.callback::text FROM jobs j WHERE j.id = n.job_id AND n.type = ANY ($4)) AS callback
        FROM numbered n ORDER BY n.number
        "#,
        limit,
        &known_types() as &[&str],
        PublicEventType::EndpointTest.as_str(),
        &[PublicEventType::Done.as_str(), PublicEventType::Error.as_str()] as &[&str],
        &passed_over,
    )
    .fetch_all(&mut **tx)
    .await?;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Ok(None);
    };
    let (after, through) = (EventId(first.after), EventId(last.number));
    let has_more = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
    let (events, audiences) = rows
        .into_iter()
        .filter_map(|row| {
            let audience = Audience {
                endpoint_ids: row.endpoint_ids.into_iter().map(EndpointId).collect(),
                callback: row.callback,
            };
            let event = EventRow {
                number: row.number,
                tenant_id: row.tenant_id,
                job_id: row.job_id,
                endpoint_id: row.endpoint_id,
                event_type: row.event_type,
                occurred_at: row.occurred_at,
                data: row.data,
            };
            Some((event.understood()?, audience))
        })
        .unzip();
    Ok(Some(Numbered {
        after,
        through,
        events,
        audiences,
        has_more,
    }))
}

/// The types that this version tells of.
pub(in crate::db) fn known_types() -> Vec<&'static str> {
    EventType::ALL
        .into_iter()
        .filter(|kind| kind.public().is_some())
        .map(EventType::as_str)
        .collect()
}
