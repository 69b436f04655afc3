//! The one clock.

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
