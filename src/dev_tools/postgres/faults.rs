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
    let deadline = Instant::now() + TAKING_TIMEOUT;
    let mut pids: Vec<i32> = Vec::new();
    while Instant::now() < deadline {
        for connection in taken.iter_mut().skip(pids.len()) {
            let pid = sqlx::query_scalar("SELECT pg_backend_pid()");
            pids.push(pid.fetch_one(connection).await?);
        }
        // Whoever is cut off comes back at once, so this goes on until nobody else is left.
        let Some(first) = taken.first_mut() else {
            break;
        };
        let cut_off = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE backend_type = 'client backend' AND pid <> ALL ($1)",
        )
        .bind(&pids)
        .execute(first)
        .await?;
        if cut_off.rows_affected() == 0 && taken.len() > 1 {
            break;
        }
        while let Ok(connection) = PgConnection::connect(url).await {
            taken.push(connection);
        }
    }
    Ok(taken)
}
