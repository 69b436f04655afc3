//! What Postgres counts: transactions that write, statements, and bytes of its log.

use gladia_gateway::dev_tools::postgres::{EmbeddedPostgres, ShutdownMode};
use sqlx::PgPool;

/// Sums of a server.
#[derive(Clone, Copy, Debug)]
pub struct Ledger {
    /// Each transaction that writes has a number.
    pub commits: i64,
    /// `None`: the server cannot count them.
    pub statements: Option<i64>,
    pub wal_bytes: i64,
}

/// Lets the server count statements, if it comes with what that takes. It is restarted for that.
pub async fn count_statements(postgres: &mut EmbeddedPostgres) -> anyhow::Result<()> {
    let server = PgPool::connect(&postgres.url("postgres")).await?;
    let is_there: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements')",
    )
    .fetch_one(&server)
    .await?;
    if !is_there {
        eprintln!(
            "This Postgres comes without pg_stat_statements: the rows that count statements are left out"
        );
        return Ok(());
    }
    sqlx::query("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
        .execute(&server)
        .await?;
    server.close().await;
    postgres.restart(ShutdownMode::Fast).await?;
    let server = PgPool::connect(&postgres.url("postgres")).await?;
    sqlx::query("CREATE EXTENSION pg_stat_statements")
        .execute(&server)
        .await?;
    server.close().await;
    Ok(())
}

impl Ledger {
    /// As it stands.
    pub async fn read(server: &PgPool) -> anyhow::Result<Self> {
        let (commits, wal_bytes) = sqlx::query_as(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
                    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint",
        )
        .fetch_one(server)
        .await?;
        let counts: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements')",
        )
        .fetch_one(server)
        .await?;
        let statements = if counts {
            // The beginnings and ends of transactions are seen in their number.
            let count = sqlx::query_scalar(
                "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
                 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = 'gateway')
                   AND query !~* '^(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)'",
            );
            Some(count.fetch_one(server).await?)
        } else {
            None
        };
        Ok(Self {
            commits,
            statements,
            wal_bytes,
        })
    }
}
