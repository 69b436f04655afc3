//! What the figures share.

pub mod cpu;
pub mod duel;
pub mod gladia;
pub mod instant;
pub mod ledger;
pub mod machine;
pub mod path;
pub mod processes;
pub mod receiver;
pub mod table;
pub mod transcripts;
pub mod wire;
pub mod wrk;

use std::time::Duration;

use gladia_gateway::dev_tools::postgres::{EmbeddedPostgres, Options};

/// An API key of the right shape: `BOOTSTRAP_API_KEY`.
pub const API_KEY: &str = "gg_bench_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ";

/// How often gateway and floor take turns.
pub const PAIRS: usize = 5;

/// How long what a block has left for later may take before the next one.
pub const SETTLE: Duration = Duration::from_millis(100);

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Scale {
    pub is_quick: bool,
}

impl Scale {
    /// One of the two.
    pub fn of<T>(self, whole: T, quick: T) -> T {
        if self.is_quick { quick } else { whole }
    }
}

/// A server of the figure's own, with fsync, with a database for the gateway and one for each floor.
pub async fn start_postgres() -> anyhow::Result<EmbeddedPostgres> {
    let postgres = EmbeddedPostgres::start(Options {
        fsync: true,
        max_connections: 200,
    })
    .await?;
    for database in ["gateway", "floor", "rows"] {
        postgres.create_database(database, None).await?;
    }
    Ok(postgres)
}
