//! Where everything is kept.

use clap::Args;

use super::{DatabaseUrl, values::whole};

/// Where everything is kept.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// The Postgres database that keeps everything. Secret.
    ///
    /// Of libpq's parameters those have an effect that are called sslmode, sslrootcert, sslcert, sslkey, host, hostaddr, port, dbname,
    /// user, password or options. Others are named by a warning at the start.
    ///
    /// Example: DATABASE_URL=postgres://gateway:password@db.internal:5432/gateway
    #[arg(long, env, hide_env_values = true)]
    pub database_url: DatabaseUrl,

    /// How many connections this process may hold open (2 to 1000). One of them listens for wake-ups.
    ///
    /// Callers have three quarters of them together, and a tenant gets one more for as long as it has fewer than are free of those:
    /// half, where it is the only one. The rest is left to callbacks, new transcriptions and the gateway's own work.
    ///
    /// All replicas together must stay below Postgres's `max_connections`.
    ///
    /// Example: DATABASE_POOL_SIZE=20
    #[arg(long, env, value_name = "CONNECTIONS", default_value = "20", value_parser = whole(2_u32..=1000))]
    pub database_pool_size: u32,
}
