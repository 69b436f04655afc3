//! What has to hold in the tables once nothing is under way any more. Asked by `chaos`, never by the service.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{
    event::EventId,
    ids::{AttemptId, DeliveryId, JobId, TenantId},
};

/// What still waits for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsettled {
    /// Jobs of any status.
    pub jobs: i64,
    /// Jobs that have not ended.
    pub open_jobs: i64,
    /// Attempts that may still be running.
    pub open_attempts: i64,
    /// Slots that are held.
    pub held_slots: i64,
    /// Events that are to be told, and have no number yet.
    pub unnumbered_events: i64,
    /// Deliveries that are sent, or wait for their next try.
    pub pending_deliveries: i64,
}

impl Unsettled {
    /// Whether nothing is left to wait for.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.held_slots == 0 && self.left() == 0
    }

    /// How much is left that ends by itself.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.open_jobs + self.open_attempts + self.unnumbered_events + self.pending_deliveries
    }
}

/// Counts what has not ended.
///
/// # Errors
/// Where the database does not answer.
pub async fn count_unsettled(conn: &mut PgConnection) -> sqlx::Result<Unsettled> {
    sqlx::query_as!(
        Unsettled,
        r#"
        SELECT (SELECT count(*) FROM jobs) AS "jobs!",
               (SELECT count(*) FROM jobs WHERE finished_at IS NULL) AS "open_jobs!",
               (SELECT count(*) FROM attempts WHERE finished_at IS NULL) AS "open_attempts!",
               (SELECT count(*) FROM slots WHERE attempt_id IS NOT NULL) AS "held_slots!",
               (SELECT count(*) FROM events
                WHERE number IS NULL
                  AND type NOT IN ('transcription.submitting', 'transcription.requeued', 'transcription.unknown'))
                   AS "unnumbered_events!",
               (SELECT count(*) FROM deliveries WHERE status = 'pending') AS "pending_deliveries!"
        "#
    )
    .fetch_one(conn)
    .await
}

/// Counts references to rows that are not there, or are another tenant's, where no constraint of the database looks after them.
///
/// # Errors
/// Where the database does not answer.
pub async fn count_orphans(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT (SELECT count(*) FROM events e
                WHERE e.job_id IS NOT NULL
                  AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = e.job_id AND j.tenant_id = e.tenant_id))
             + (SELECT count(*) FROM deliveries d
                WHERE d.job_id IS NOT NULL
                  AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = d.job_id AND j.tenant_id = d.tenant_id))
             + (SELECT count(*) FROM job_metadata m
                WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = m.job_id AND j.tenant_id = m.tenant_id))
             + (SELECT count(*) FROM callbacks c
                WHERE NOT EXISTS (SELECT FROM attempts a WHERE a.id = c.attempt_id))
             + (SELECT count(*) FROM jobs j
                WHERE j.result_callback_id IS NOT NULL
                  AND NOT EXISTS (SELECT FROM callbacks c WHERE c.id = j.result_callback_id))
             + (SELECT count(*) FROM jobs j
                WHERE NOT EXISTS (SELECT FROM api_keys k WHERE k.id = j.api_key_id AND k.tenant_id = j.tenant_id))
             + (SELECT count(*) FROM idempotency_keys i
                WHERE i.job_id IS NOT NULL
                  AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = i.job_id AND j.tenant_id = i.tenant_id)) AS "orphans!"
        "#
    )
    .fetch_one(conn)
    .await
}

/// A job as it ended.
#[derive(Debug, Clone)]
pub struct JobFacts {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its status.
    pub status: String,
    /// Why it is where it is.
    pub status_reason: Option<String>,
    /// Why it failed.
    pub error_type: Option<String>,
    /// Gladia's job that completed it.
    pub gladia_id: Option<String>,
    /// How many idempotency keys lead to it.
    pub keys: i64,
    /// How many events say that it ended.
    pub endings_told: i64,
}

/// Lists every job.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_jobs(conn: &mut PgConnection) -> sqlx::Result<Vec<JobFacts>> {
    sqlx::query_as!(
        JobFacts,
        r#"
        SELECT j.id, j.tenant_id, j.status, j.status_reason, j.error_type, j.gladia_id,
               (SELECT count(*) FROM idempotency_keys k WHERE k.job_id = j.id) AS "keys!",
               (SELECT count(*) FROM events e WHERE e.job_id = j.id
                    AND e.type IN ('transcription.done', 'transcription.error', 'transcription.canceled'))
                   AS "endings_told!"
        FROM jobs j
        ORDER BY j.created_at, j.id
        "#
    )
    .fetch_all(conn)
    .await
}

/// An attempt as it ended.
#[derive(Debug, Clone)]
pub struct AttemptFacts {
    /// Its id.
    pub id: AttemptId,
    /// The job that it was for.
    pub job_id: JobId,
    /// Its state.
    pub state: String,
    /// Gladia's job that it made.
    pub gladia_id: Option<String>,
    /// The process that sent it.
    pub worker: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// After which instant its process counted as dead.
    pub lease_until: DateTime<Utc>,
    /// Whether it ended.
    pub finished: bool,
    /// Whether it holds a slot.
    pub holds_slot: bool,
}

/// Lists every attempt.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_attempts(conn: &mut PgConnection) -> sqlx::Result<Vec<AttemptFacts>> {
    sqlx::query_as!(
        AttemptFacts,
        r#"
        SELECT a.id, a.job_id, a.state, a.gladia_id, a.worker, a.created_at, a.lease_until,
               a.finished_at IS NOT NULL AS "finished!",
               EXISTS (SELECT FROM slots s WHERE s.attempt_id = a.id) AS "holds_slot!"
        FROM attempts a
        ORDER BY a.job_id, a.number
        "#
    )
    .fetch_all(conn)
    .await
}

/// A job that Gladia had twice, and that the gateway knows of.
#[derive(Debug, Clone)]
pub struct SurplusFacts {
    /// Gladia's job that was one too many.
    pub gladia_id: String,
    /// The job that it was for.
    pub job_id: JobId,
}

/// Lists the jobs that Gladia has or had twice.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_surplus(conn: &mut PgConnection) -> sqlx::Result<Vec<SurplusFacts>> {
    sqlx::query_as!(
        SurplusFacts,
        r#"
        SELECT gladia_id, job_id FROM upstream_deletions
        WHERE reason = 'surplus'
        ORDER BY requested_at, gladia_id
        "#
    )
    .fetch_all(conn)
    .await
}

/// A callback that waits for somebody to look at it.
#[derive(Debug, Clone)]
pub struct QuarantineFacts {
    /// The attempt that it came for.
    pub attempt_id: AttemptId,
    /// Why it was not carried out.
    pub reason: Option<String>,
}

/// Lists quarantined callbacks.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_quarantined(conn: &mut PgConnection) -> sqlx::Result<Vec<QuarantineFacts>> {
    sqlx::query_as!(
        QuarantineFacts,
        "SELECT attempt_id, reason FROM callbacks WHERE outcome = 'quarantined' ORDER BY received_at, id"
    )
    .fetch_all(conn)
    .await
}

/// An event that is told, or is to be.
#[derive(Debug, Clone)]
pub struct EventFacts {
    /// Its number, once it has one.
    pub number: Option<i64>,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The job that it is about, where it is about one.
    pub job_id: Option<Uuid>,
    /// What happened.
    pub event_type: String,
    /// When.
    pub occurred_at: DateTime<Utc>,
}

/// Lists every event that is told, or is to be, in the order of their numbers.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_events(conn: &mut PgConnection) -> sqlx::Result<Vec<EventFacts>> {
    sqlx::query_as!(
        EventFacts,
        "
        SELECT number, tenant_id, job_id, type AS event_type, occurred_at
        FROM events
        WHERE type NOT IN ('transcription.submitting', 'transcription.requeued', 'transcription.unknown')
        ORDER BY number, position
        "
    )
    .fetch_all(conn)
    .await
}

/// The last number of each tenant's events.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_last_events(conn: &mut PgConnection) -> sqlx::Result<Vec<(TenantId, EventId)>> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id, max(number) AS "number!" FROM events WHERE number > 0 GROUP BY tenant_id"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.tenant_id.into(), EventId(row.number)))
        .collect())
}

/// A delivery that did not get through.
#[derive(Debug, Clone)]
pub struct DeliveryFacts {
    /// Its id.
    pub id: DeliveryId,
    /// Where it was to go; to the callback of its job where there is none.
    pub endpoint_id: Option<Uuid>,
    /// The event that it was to tell.
    pub event_number: i64,
    /// Its status.
    pub status: String,
    /// Why it is dead.
    pub dead_reason: Option<String>,
    /// How often it was tried.
    pub tries: i32,
}

/// Lists the deliveries that did not get through.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_undelivered(conn: &mut PgConnection) -> sqlx::Result<Vec<DeliveryFacts>> {
    sqlx::query_as!(
        DeliveryFacts,
        "
        SELECT id, endpoint_id, event_number, status, dead_reason, tries
        FROM deliveries WHERE status <> 'delivered'
        ORDER BY event_number, id
        "
    )
    .fetch_all(conn)
    .await
}

/// How many deliveries there were.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliverySums {
    /// That got through.
    pub delivered: i64,
    /// How often one was tried, as far as that is on record.
    pub tries: i64,
    /// Tries that failed.
    pub failed_tries: i64,
    /// How often more than one was made of an event for the same receiver.
    pub doubled: i64,
}

/// Counts deliveries and their tries.
///
/// # Errors
/// Where the database does not answer.
pub async fn count_deliveries(conn: &mut PgConnection) -> sqlx::Result<DeliverySums> {
    sqlx::query_as!(
        DeliverySums,
        r#"
        SELECT (SELECT count(*) FROM deliveries WHERE status = 'delivered') AS "delivered!",
               (SELECT count(*) FROM delivery_attempts) AS "tries!",
               (SELECT count(*) FROM delivery_attempts WHERE error IS NOT NULL) AS "failed_tries!",
               (SELECT count(*) FROM (
                    SELECT FROM deliveries GROUP BY event_number, endpoint_id HAVING count(*) > 1
                ) d) AS "doubled!"
        "#
    )
    .fetch_one(conn)
    .await
}
