//! Which callback keys something still needs: attempts whose addresses were signed with one, and signing secrets that are sealed
//! with one.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// A callback key that unfinished attempts were signed with, or signing secrets are encrypted with.
#[derive(Debug)]
pub struct NeededKey {
    /// Its name in `CALLBACK_KEYS`.
    pub key_id: String,
    /// How many attempts need it.
    pub attempts: i64,
    /// The oldest of them.
    pub oldest_at: Option<DateTime<Utc>>,
    /// How many signing secrets need it.
    pub signing_secrets: i64,
}

/// The callback keys that something still needs.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_needed(conn: &mut PgConnection) -> sqlx::Result<Vec<NeededKey>> {
    sqlx::query_as!(
        NeededKey,
        r#"
        WITH attempts AS (
            SELECT key_id, count(*) AS attempts, min(created_at) AS oldest_at
            FROM attempts WHERE finished_at IS NULL GROUP BY key_id
        ), secrets AS (
            SELECT key_id, count(*) AS secrets FROM signing_secrets
            WHERE expires_at IS NULL OR expires_at > gateway_now() GROUP BY key_id
        )
        SELECT key_id AS "key_id!", coalesce(attempts, 0) AS "attempts!", oldest_at,
               coalesce(secrets, 0) AS "signing_secrets!"
        FROM attempts FULL JOIN secrets USING (key_id)
        ORDER BY key_id
        "#
    )
    .fetch_all(conn)
    .await
}

/// The callback keys that unfinished attempts were signed with.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_ids_of_open_attempts(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT DISTINCT key_id FROM attempts WHERE finished_at IS NULL ORDER BY key_id"
    )
    .fetch_all(conn)
    .await
}

/// The names of the keys that secrets are sealed with, in order.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_ids_of_signing_secrets(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("SELECT DISTINCT key_id FROM signing_secrets ORDER BY key_id")
        .fetch_all(conn)
        .await
}
