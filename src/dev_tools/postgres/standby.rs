//! A synchronous standby: a second server that has whatever the first one acknowledges.

use std::time::Instant;

use anyhow::ensure;
use sqlx::Connection;

use super::{EmbeddedPostgres, READY_POLL_INTERVAL, START_TIMEOUT, cluster::Cluster};

/// A server that follows another one, and takes no writes.
#[derive(Debug)]
pub struct Standby(EmbeddedPostgres);

impl EmbeddedPostgres {
    /// Starts a standby of this server. From then on, a commit is acknowledged when both have it on disk, if this server waits for
    /// disks at all ([`Options::fsync`](super::Options::fsync)).
    ///
    /// # Errors
    ///
    /// Fails where `pg_basebackup` is not there, or the standby does not start.
    pub async fn start_standby(&self) -> anyhow::Result<Standby> {
        let origin = self.cluster.origin(self.port);
        let standby = Self::start_on(&self.options, move || Cluster::copy(&origin)).await?;
        for statement in [
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
            "SELECT pg_reload_conf()",
        ] {
            self.execute(statement.to_owned()).await?;
        }
        self.wait_until_synchronous().await?;
        Ok(Standby(standby))
    }

    /// Waits until commits wait for a standby.
    async fn wait_until_synchronous(&self) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let is_synchronous: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')",
            )
            .fetch_one(&mut connection)
            .await?;
            if is_synchronous {
                return Ok(connection.close().await?);
            }
            ensure!(
                Instant::now() < deadline,
                "the standby does not keep up with its server after {START_TIMEOUT:?}"
            );
            tokio::time::sleep(READY_POLL_INTERVAL).await;
        }
    }

    /// Loses the server: it ends as in a crash, and its files are gone.
    ///
    /// # Errors
    ///
    /// Fails where it does not end in time.
    pub async fn lose(self) -> anyhow::Result<()> {
        tokio::task::spawn_blocking(move || {
            let Self {
                mut supervisor,
                cluster,
                ..
            } = self;
            supervisor.lose()?;
            cluster.remove()
        })
        .await?
    }
}

impl Standby {
    /// Makes it a server that takes writes, and waits for no standby. Whoever it followed has to be gone.
    ///
    /// # Errors
    ///
    /// Fails where it does not become one within a minute.
    pub async fn take_over(self) -> anyhow::Result<EmbeddedPostgres> {
        let Self(server) = self;
        let mut connection = server.connect().await?;
        let is_promoted: bool = sqlx::query_scalar("SELECT pg_promote()")
            .fetch_one(&mut connection)
            .await?;
        ensure!(is_promoted, "the standby did not take over within a minute");
        connection.close().await?;
        Ok(server)
    }

    /// The port of 127.0.0.1 that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// Shuts it down. Whoever it follows then waits with each commit until another one comes, or is shut down as well.
    ///
    /// # Errors
    ///
    /// As [`EmbeddedPostgres::stop`].
    pub async fn stop(self) -> anyhow::Result<()> {
        self.0.stop().await
    }
}
