//! The account's limit, its slots, and whether anything may be sent at all.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use crate::domain::{backoff::PauseReason, ids::AttemptId};

/// Writes the first cap of a new database. Later starts change nothing: replicas with other settings cannot disagree.
///
/// # Errors
/// Where the database does not answer.
pub async fn seed(conn: &mut PgConnection, max_in_flight: i32) -> sqlx::Result<()> {
    let mut tx = conn.begin().await?;
    let seeded = sqlx::query!(
        "INSERT INTO dispatch (max_in_flight) VALUES ($1) ON CONFLICT (singleton) DO NOTHING",
        max_in_flight,
    )
    .execute(&mut *tx)
    .await?;
    if seeded.rows_affected() == 1 {
        add_slots(&mut tx, max_in_flight).await?;
    }
    tx.commit().await
}

/// Changes the cap from the next claim on. Lowering it takes nothing away: slots above it drain.
///
/// # Errors
/// Where the database does not answer, or refuses the number.
pub async fn set_max_in_flight(conn: &mut PgConnection, max_in_flight: i32) -> sqlx::Result<()> {
    let mut tx = conn.begin().await?;
    sqlx::query!(
        "
        INSERT INTO dispatch (max_in_flight) VALUES ($1)
        ON CONFLICT (singleton) DO UPDATE SET max_in_flight = excluded.max_in_flight
        ",
        max_in_flight,
    )
    .execute(&mut *tx)
    .await?;
    add_slots(&mut tx, max_in_flight).await?;
    tx.commit().await
}

async fn add_slots(conn: &mut PgConnection, up_to: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO slots (number) SELECT generate_series(1, $1) ON CONFLICT (number) DO NOTHING",
        up_to,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// The state of dispatch.
#[derive(Debug)]
pub struct Dispatch {
    /// How many jobs may be in flight.
    pub max_in_flight: i32,
    /// How many are.
    pub in_flight: i64,
    /// Nothing is claimed before this instant.
    pub paused_until: Option<DateTime<Utc>>,
    /// Why.
    pub pause_reason: Option<String>,
}

/// Reads the state of dispatch. `None` before the first `serve`.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(conn: &mut PgConnection) -> sqlx::Result<Option<Dispatch>> {
    sqlx::query_as!(
        Dispatch,
        r#"
        SELECT max_in_flight,
               (SELECT count(*) FROM slots WHERE attempt_id IS NOT NULL) AS "in_flight!",
               CASE WHEN paused_until > gateway_now() THEN paused_until END AS paused_until,
               CASE WHEN paused_until > gateway_now() THEN pause_reason END AS pause_reason
        FROM dispatch
        "#
    )
    .fetch_optional(conn)
    .await
}

/// How many failures in a row there were, to choose the next pause.
///
/// # Errors
/// Where the database does not answer.
pub async fn count_failures(conn: &mut PgConnection) -> sqlx::Result<i32> {
    sqlx::query_scalar!("SELECT failures FROM dispatch")
        .fetch_one(conn)
        .await
}

/// Rests for a while. Nothing is counted during a pause, so that 25 requests failing together count as one failure; but where
/// this one is to rest for `at_least` so long, the pause that is in force lasts until then.
///
/// # Errors
/// Where the database does not answer.
pub async fn pause(
    conn: &mut PgConnection,
    pause: Duration,
    at_least: Duration,
    reason: PauseReason,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE dispatch
        SET paused_until = gateway_now()
                + make_interval(secs => CASE WHEN paused_until > gateway_now() THEN $2 ELSE greatest($1, $2) END),
            pause_reason = $3,
            failures = failures + CASE WHEN paused_until > gateway_now() THEN 0 ELSE 1 END
        WHERE paused_until IS NULL OR paused_until <= gateway_now() OR paused_until < gateway_now() + make_interval(secs => $2)
        ",
        pause.as_secs_f64(),
        at_least.as_secs_f64(),
        reason.as_str(),
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Ends the count of failures, after something was accepted.
///
/// # Errors
/// Where the database does not answer.
pub async fn mark_working(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE dispatch SET failures = 0, paused_until = NULL, pause_reason = NULL
        -- Almost always false, and then no row is locked or written.
        WHERE failures > 0 AND (paused_until IS NULL OR paused_until <= gateway_now())
        "
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Gives back the slot that an attempt holds, if it still holds one.
///
/// # Errors
/// Where the database does not answer.
pub async fn free_slot(conn: &mut PgConnection, attempt: AttemptId) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE slots SET attempt_id = NULL, tenant_id = NULL, taken_at = NULL, deadline_at = NULL
        WHERE attempt_id = $1
        ",
        attempt.0,
    )
    .execute(conn)
    .await
    .map(|_| ())
}
