//! What goes wrong with a database besides its end: no connection is left.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use super::EmbeddedPostgres;

/// Others compete for what is free, so taking everything has a bound.
const TAKING_TIMEOUT: Duration = Duration::from_secs(2);

impl EmbeddedPostgres {
    /// Cuts off everyone else and takes every connection that the server has, until they are dropped.
    ///
    /// # Errors
    ///
    /// Fails where the server does not answer at all.
    pub async fn take_connections(&self) -> anyhow::Result<Vec<PgConnection>> {
        take_connections(&self.url("postgres")).await
    }
}

async fn take_connections(url: &str) -> anyhow::Result<Vec<PgConnection>> {
    let mut taken = vec![PgConnection::connect(url).await?];
    if let Some(first) = taken.first_mut() {
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )
        .execute(first)
        .await?;
    }
    let deadline = Instant::now() + TAKING_TIMEOUT;
    while Instant::now() < deadline {
        match PgConnection::connect(url).await {
            Ok(connection) => taken.push(connection),
            Err(_) => break,
        }
    }
    Ok(taken)
}
