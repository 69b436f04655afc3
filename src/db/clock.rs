//! The one clock, and what is not left to it alone.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// What the gateway's clock says.
///
/// # Errors
/// Where the database does not answer.
pub async fn now(conn: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query!(r#"SELECT gateway_now() AS "now!""#)
        .fetch_one(conn)
        .await
        .map(|row| row.now)
}

/// Since when something has to have ended to be kept: what ended before has had its retention.
///
/// By the database's clock and by `process_now` alike, whichever is behind: what a clock that is ahead has erased, nobody brings
/// back when it is set right.
///
/// # Errors
/// Where the database does not answer.
pub async fn kept_since(
    conn: &mut PgConnection,
    retention: Duration,
    process_now: fn() -> DateTime<Utc>,
) -> sqlx::Result<DateTime<Utc>> {
    let database_now = now(conn).await?;
    Ok(database_now.min(process_now()) - retention)
}
