//! Every SQL statement of the program, as functions on a connection: one file a table group.
//!
//! Callers own the transaction. A move of a row names the state that it leaves in its `WHERE` clause; a message that is
//! late, doubled or stale changes zero rows, and the caller decides what that means. Locks are always taken in one order:
//! dispatch, a free slot, job, attempt, the slot that the attempt holds.

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};

pub mod api_keys;
pub mod attempts;
pub mod callbacks;
pub mod claims;
pub mod dispatch;
pub mod events;
pub mod idempotency;
pub mod jobs;
pub mod uploads;
pub mod wakeups;

/// The migrations, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// How long a request waits for a connection before it is answered 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Parses a database URL.
///
/// # Errors
/// Where it is none.
pub fn parse_url(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let options = PgConnectOptions::from_str(url)?
        .application_name("gladia-gateway")
        .disable_statement_logging();
    Ok(options)
}

/// Opens a pool, and proves that the database answers.
///
/// # Errors
/// Where it does not.
pub async fn connect(
    options: PgConnectOptions,
    max_connections: u32,
) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await
}

/// Applies the migrations. An advisory lock lets many replicas start at once.
///
/// # Errors
/// Where the database refuses one, or holds one that this binary does not know.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    MIGRATOR.run(pool).await
}

/// Whether the database answers.
///
/// # Errors
/// Where it does not.
pub async fn ping(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"SELECT 1 AS "one!""#)
        .fetch_one(pool)
        .await
        .map(|_| ())
}

/// A row that this program cannot have written.
fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
