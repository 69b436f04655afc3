//! A Postgres of our own for `demo`, `chaos` and the tests, made from the binaries that the machine has.
//!
//! A server lives in one fresh private directory, listens on one free loopback port, and leaves nothing behind:
//!
//! 1. `binaries` finds `initdb` and `postgres`, and `account` says who runs them: Postgres refuses root, so root
//!    hands the directory to `postgres` or `nobody`.
//! 2. `directory` makes the directory, after clearing away those whose owners died without doing so.
//! 3. `cluster` runs `initdb` there, with a random password: loopback is open to every user of the machine, and a
//!    Postgres superuser may run programs.
//! 4. `supervisor` ties the server's life to ours. When this process ends, in whatever way, the server shuts down
//!    and the directory goes.
//! 5. `standby` makes a second server that has whatever the first one acknowledges, and takes its place.
//!
//! A Postgres that already runs is never touched: the port is free when chosen, another is chosen where it was taken
//! meanwhile, and whoever answers there has to know the server's name.

mod account;
mod binaries;
mod cluster;
mod directory;
mod faults;
mod standby;
mod supervisor;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

pub use binaries::find_binaries;
use cluster::Cluster;
pub use standby::Standby;
use supervisor::Supervisor;

/// A loaded machine needs seconds; what takes longer is broken.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// A server answers some 30 ms after its start.
const READY_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A port may be taken between choosing it and listening on it; so often in a row, something else is wrong.
const STARTS_TRIED: u32 = 5;

/// What differs between the uses of an embedded server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether commits reach the disk before they are acknowledged. Off makes tests faster; measuring needs it on.
    pub fsync: bool,
    /// How many connections the server accepts.
    pub max_connections: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fsync: false,
            max_connections: 200,
        }
    }
}

/// How a server is ended before it starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownMode {
    /// Connections are cut off, and everything is written out.
    Fast,
    /// The server is gone at once, as after a crash, and recovers from its log when it starts.
    Immediate,
}

/// A running server. Dropping it stops the server and removes its directory, and blocks until both are done.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    // Dropped in this order: the server ends before its directory goes.
    supervisor: Supervisor,
    cluster: Cluster,
    options: Options,
    port: u16,
}

impl EmbeddedPostgres {
    /// Makes a new, empty server and waits until it answers.
    ///
    /// # Errors
    ///
    /// Says what to install where no Postgres is found, and shows the end of the server's log where it does not start.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        Self::start_on(&options, Cluster::create).await
    }

    /// Serves what `make` makes.
    async fn start_on<M>(options: &Options, make: M) -> anyhow::Result<Self>
    where
        M: Fn() -> anyhow::Result<Cluster> + Clone + Send + 'static,
    {
        for _ in 0..STARTS_TRIED {
            let cluster = tokio::task::spawn_blocking(make.clone()).await??;
            if let Some(server) = Self::try_start(options, cluster).await? {
                return Ok(server);
            }
        }
        bail!(
            "the embedded Postgres lost {STARTS_TRIED} free ports in a row to other programs; start again"
        )
    }

    /// `None` where another program took the port first.
    async fn try_start(options: &Options, cluster: Cluster) -> anyhow::Result<Option<Self>> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .context("no free port on 127.0.0.1")?
            .port();
        let supervisor = Supervisor::spawn(cluster.server_command(port, options), &cluster)?;
        let mut server = Self {
            supervisor,
            cluster,
            options: options.clone(),
            port,
        };
        match server.wait_until_ready(None).await? {
            Readiness::Ready => Ok(Some(server)),
            Readiness::PortTaken => Ok(None),
        }
    }

    /// Waits until the server answers; where `previous` is given, until one with another process id does.
    async fn wait_until_ready(&mut self, previous: Option<&str>) -> anyhow::Result<Readiness> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let answer = self.check_identity(previous).await;
            if let Some(status) = self.supervisor.exit_status()? {
                let log = self.cluster.log_tail();
                ensure!(
                    log.contains("Address already in use"),
                    "the embedded Postgres ended at its start ({status}); its log:\n{log}"
                );
                return Ok(Readiness::PortTaken);
            }
            match answer {
                Ok(()) => return Ok(Readiness::Ready),
                Err(error) if Instant::now() > deadline => {
                    let log = self.cluster.log_tail();
                    return Err(error).with_context(|| {
                        format!("the embedded Postgres does not answer after {START_TIMEOUT:?}; its log:\n{log}")
                    });
                }
                Err(_) => tokio::time::sleep(READY_POLL_INTERVAL).await,
            }
        }
    }

    /// Ends the server and starts it again on the same files and port. What it had committed is still there.
    ///
    /// # Errors
    ///
    /// Fails where it does not come back, with the end of its log.
    pub async fn restart(&mut self, mode: ShutdownMode) -> anyhow::Result<()> {
        let previous = self.cluster.server_pid();
        self.supervisor.restart(mode)?;
        match self.wait_until_ready(previous.as_deref()).await? {
            Readiness::Ready => Ok(()),
            Readiness::PortTaken => bail!(
                "the embedded Postgres lost its port {} to another program while it restarted",
                self.port
            ),
        }
    }

    /// Copies what the server has written to its log so far.
    ///
    /// # Errors
    ///
    /// Fails where the copy cannot be written.
    pub fn copy_log(&self, to: &Path) -> anyhow::Result<()> {
        self.cluster
            .directory()
            .copy_log(to)
            .with_context(|| format!("copying the log of Postgres to {} failed", to.display()))
    }

    /// Fails unless the server that answers on the port is this one, and no longer the `previous` process.
    async fn check_identity(&self, previous: Option<&str>) -> anyhow::Result<()> {
        ensure!(
            previous.is_none() || self.cluster.server_pid().as_deref() != previous,
            "the server has not ended"
        );
        let mut connection = self.connect().await?;
        let name: String = sqlx::query_scalar("SELECT current_setting('cluster_name')")
            .fetch_one(&mut connection)
            .await?;
        ensure!(
            name == self.cluster.name(),
            "another Postgres answers on port {}",
            self.port
        );
        Ok(connection.close().await?)
    }

    /// The address of `database` on this server, password included.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_through(self.port, database)
    }

    /// The port of 127.0.0.1 that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As [`url`](Self::url), by way of a port that leads here.
    #[must_use]
    pub fn url_through(&self, port: u16, database: &str) -> String {
        // The mode overrides PGSSLMODE, which may ask for what this server does not have.
        format!(
            "postgres://{user}:{password}@127.0.0.1:{port}/{database}?sslmode=disable",
            user = cluster::SUPERUSER,
            password = self.cluster.password(),
        )
    }

    /// Creates a database, as a copy of `template` where one is named. Nobody may be connected to the template.
    ///
    /// # Errors
    ///
    /// Fails as `CREATE DATABASE` does.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> anyhow::Result<()> {
        let mut statement = format!("CREATE DATABASE {}", quoted(name));
        if let Some(template) = template {
            statement.push_str(" TEMPLATE ");
            statement.push_str(&quoted(template));
        }
        self.execute(statement)
            .await
            .with_context(|| format!("creating the database {name} failed"))
    }

    /// Drops a database, cutting off whoever is connected to it. One that does not exist is no error.
    ///
    /// # Errors
    ///
    /// Fails as `DROP DATABASE` does.
    pub async fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        self.execute(format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            quoted(name)
        ))
        .await
        .with_context(|| format!("dropping the database {name} failed"))
    }

    /// Shuts the server down, cutting off whoever is connected, and removes its directory.
    ///
    /// # Errors
    ///
    /// Fails where the server does not end in time or the directory cannot be removed.
    pub async fn stop(self) -> anyhow::Result<()> {
        tokio::task::spawn_blocking(move || {
            let Self {
                mut supervisor,
                cluster,
                ..
            } = self;
            supervisor.stop()?;
            cluster.remove()
        })
        .await?
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(&self.url("postgres")).await
    }

    async fn execute(&self, statement: String) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        // Names are the only variable part of these statements, and are quoted.
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await?;
        Ok(connection.close().await?)
    }
}

enum Readiness {
    Ready,
    /// Another program took the port first.
    PortTaken,
}

/// `name` as an SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
