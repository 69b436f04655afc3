//! The gateway's Postgres: one server, or one with a synchronous standby that takes its place when it is lost.
//!
//! With a standby everybody comes in by one address, which moves to whoever takes writes, as a name or a virtual address does
//! in production.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::Context;
use sqlx::PgConnection;
use tokio::sync::Mutex;

use super::balancer::{Addresses, Balancer};
use crate::dev_tools::postgres::{EmbeddedPostgres, Options, ShutdownMode, Standby};

const NAME: &str = "gateway";

/// Enough for three replicas, not for four.
const MAX_CONNECTIONS: u32 = 80;

/// The servers, and the way to them.
pub struct Database {
    url: String,
    servers: Mutex<Servers>,
    door: Option<Door>,
    /// Where the logs of the servers go.
    directory: PathBuf,
}

struct Servers {
    /// None where its place could not be taken.
    primary: Option<EmbeddedPostgres>,
    standby: Option<Standby>,
    lost: usize,
}

impl Servers {
    fn primary(&mut self) -> anyhow::Result<&mut EmbeddedPostgres> {
        self.primary
            .as_mut()
            .context("Postgres was lost, and nothing took its place")
    }
}

/// The address that moves.
struct Door {
    leads_to: Addresses,
    balancer: Balancer,
}

impl Door {
    async fn open(port: u16) -> anyhow::Result<Self> {
        let leads_to = Addresses::of(1);
        let balancer = Balancer::start(leads_to.clone()).await?;
        let door = Self { leads_to, balancer };
        door.lead_to(port);
        Ok(door)
    }

    fn lead_to(&self, port: u16) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.leads_to.set(0, Some(address));
    }
}

impl Database {
    /// Starts it, without tables.
    pub async fn start(has_standby: bool, directory: &Path) -> anyhow::Result<Self> {
        let primary = EmbeddedPostgres::start(Options {
            fsync: true,
            max_connections: MAX_CONNECTIONS,
        })
        .await?;
        primary.create_database(NAME, None).await?;
        let (mut standby, mut door) = (None, None);
        if has_standby {
            standby = Some(primary.start_standby().await?);
            door = Some(Door::open(primary.port()).await?);
        }
        let port = door
            .as_ref()
            .map_or(primary.port(), |door| door.balancer.address().port());
        Ok(Self {
            url: primary.url_through(port, NAME),
            servers: Mutex::new(Servers {
                primary: Some(primary),
                standby,
                lost: 0,
            }),
            door,
            directory: directory.to_owned(),
        })
    }

    /// Where the gateway finds it, password included.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends the server and starts it again.
    pub async fn restart(&self, mode: ShutdownMode) -> anyhow::Result<()> {
        self.servers.lock().await.primary()?.restart(mode).await
    }

    /// Takes every connection that the server has, until they are dropped.
    pub async fn take_connections(&self) -> anyhow::Result<Vec<PgConnection>> {
        let mut servers = self.servers.lock().await;
        servers.primary()?.take_connections().await
    }

    /// Loses the server for good, lets the standby take its place, and starts another standby. Where it is lost silently, nobody
    /// who is connected hears of it.
    pub async fn fail_over(&self, is_silent: bool) -> anyhow::Result<()> {
        let mut servers = self.servers.lock().await;
        let standby = servers.standby.take().context("there is no standby")?;
        let primary = servers.primary.take().context("there is no server")?;
        servers.lost += 1;
        primary.copy_log(&self.log(Some(servers.lost)))?;
        if let Some(door) = self.door.as_ref().filter(|_| is_silent) {
            door.balancer.strand();
        }
        primary.lose().await?;
        let primary = standby.take_over().await?;
        if let Some(door) = &self.door {
            door.lead_to(primary.port());
        }
        let primary = servers.primary.insert(primary);
        servers.standby = Some(primary.start_standby().await?);
        Ok(())
    }

    fn log(&self, lost: Option<usize>) -> PathBuf {
        let name = lost.map_or_else(
            || "postgres.log".to_owned(),
            |number| format!("postgres-lost-{number}.log"),
        );
        self.directory.join(name)
    }

    /// Puts the log of the server beside the others.
    pub async fn save_log(&self) -> anyhow::Result<()> {
        let mut servers = self.servers.lock().await;
        servers.primary()?.copy_log(&self.log(None))
    }

    /// Ends it.
    pub async fn stop(self) -> anyhow::Result<()> {
        let servers = self.servers.into_inner();
        if let Some(standby) = servers.standby {
            standby.stop().await?;
        }
        match servers.primary {
            Some(primary) => primary.stop().await,
            None => Ok(()),
        }
    }
}
