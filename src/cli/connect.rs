//! The one connection of a command that only asks or changes something in the database.

use std::time::Duration;

use anyhow::Context;
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use crate::{config::DatabaseSettings, db};

/// How long the database may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens a connection, set up as the service's are. Not a pool: a pool tries again until its own time is up, and then no longer
/// knows why it failed.
///
/// # Errors
/// Where the database does not let us in, with its address but no password.
pub(super) async fn connect(settings: &DatabaseSettings) -> anyhow::Result<PgConnection> {
    let prepared = async {
        let mut conn = PgConnection::connect_with(&settings.database_url.options()).await?;
        db::prepare_session(&mut conn).await?;
        Ok(conn)
    };
    in_time(settings, prepared).await
}

/// The same, for whoever sets it up otherwise.
///
/// # Errors
/// The same.
pub(super) async fn connect_as_it_is(settings: &DatabaseSettings) -> anyhow::Result<PgConnection> {
    let options = settings.database_url.options();
    in_time(settings, PgConnection::connect_with(&options)).await
}

async fn in_time(
    settings: &DatabaseSettings,
    opened: impl Future<Output = sqlx::Result<PgConnection>>,
) -> anyhow::Result<PgConnection> {
    let unreachable = || format!("the database at {} cannot be used", settings.database_url);
    timeout(CONNECT_TIMEOUT, opened)
        .await
        .map_err(|_| anyhow::anyhow!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))
        .with_context(unreachable)?
        .with_context(unreachable)
}
