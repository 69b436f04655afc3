//! `with-postgres`: run a command beside an embedded Postgres that has the migrations of this checkout.
//!
//! For developers only, and hidden from `--help`: `./dev` prepares and checks the offline query data with it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

use super::child;
use crate::dev_tools::postgres::{EmbeddedPostgres, Options};

const DATABASE: &str = "gateway";

/// What `with-postgres` runs.
#[derive(Debug, clap::Args)]
pub struct WithPostgresArgs {
    /// The migrations to apply. Read when the command runs, so that new ones need no build.
    #[arg(long, default_value = "migrations")]
    migrations: PathBuf,
    /// The command and its arguments. It finds the database in `DATABASE_URL`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

/// Starts Postgres, runs the command, stops Postgres, and ends as the command did.
///
/// # Errors
///
/// Fails where Postgres does not start, a migration does not apply, or the command cannot be run.
pub async fn run(args: WithPostgresArgs) -> anyhow::Result<ExitCode> {
    let server = EmbeddedPostgres::start(Options::default()).await?;
    server.create_database(DATABASE, None).await?;
    let url = server.url(DATABASE);
    migrate(&url, &args.migrations).await?;
    let ended = child::run(&args.command, [("DATABASE_URL", url)]).await?;
    server.stop().await?;
    Ok(ended)
}

async fn migrate(url: &str, migrations: &Path) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    Migrator::new(migrations)
        .await
        .with_context(|| format!("reading the migrations in {} failed", migrations.display()))?
        .run(&mut connection)
        .await
        .with_context(|| format!("applying the migrations in {} failed", migrations.display()))?;
    Ok(connection.close().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn exit_of(script: &str) -> anyhow::Result<ExitCode> {
        let migrations = std::env::temp_dir().join(format!(
            "gladia-gateway-migrations-{}",
            uuid::Uuid::new_v4()
        ));
        std::fs::create_dir(&migrations)?;
        std::fs::write(
            migrations.join("1_numbers.sql"),
            "CREATE TABLE numbers (number bigint)",
        )?;
        let ended = run(WithPostgresArgs {
            migrations: migrations.clone(),
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        })
        .await;
        std::fs::remove_dir_all(&migrations)?;
        ended
    }

    #[tokio::test]
    async fn the_command_finds_the_database_and_its_exit_code_is_ours() -> anyhow::Result<()> {
        let code = exit_of("case $DATABASE_URL in postgres://*/gateway*) exit 7;; esac").await?;
        assert_eq!(code, ExitCode::from(7));
        Ok(())
    }

    #[tokio::test]
    async fn a_command_ended_by_a_signal_fails_as_in_a_shell() -> anyhow::Result<()> {
        assert_eq!(exit_of("kill -TERM $$").await?, ExitCode::from(143));
        Ok(())
    }

    #[tokio::test]
    async fn a_missing_command_and_missing_migrations_are_named() {
        let missing = WithPostgresArgs {
            migrations: PathBuf::from("/nowhere"),
            command: vec!["true".to_owned()],
        };
        let error = run(missing).await.expect_err("there are no migrations");
        assert!(error.to_string().contains("/nowhere"), "{error:#}");
    }
}
