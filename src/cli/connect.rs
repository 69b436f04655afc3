//! The one connection of a command that only asks or changes something in the database.

use std::time::Duration;

use anyhow::Context;
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use crate::config::DatabaseSettings;

/// How long the database may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens a connection. Not a pool: a pool tries again until its own time is up, and then no longer knows why it failed.
///
/// # Errors
/// Where the database does not let us in, with its address but no password.
pub(super) async fn connect(settings: &DatabaseSettings) -> anyhow::Result<PgConnection> {
    let options = settings.database_url.options();
    let unreachable = || format!("the database at {} cannot be used", settings.database_url);
    timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options))
        .await
        .map_err(|_| anyhow::anyhow!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))
        .with_context(unreachable)?
        .with_context(unreachable)
}
