//! `migrate`: the tables of this version. Any number of them may run at once; one works and the others wait.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use sqlx::{Connection, PgConnection, migrate::Migrate};

use super::{connect::connect, output};
use crate::{
    config::DatabaseSettings,
    db::{MIGRATION_PAUSE, MIGRATION_TRIES, MIGRATOR, gave_way},
};

/// What is to be migrated, and how far.
#[derive(Args, Debug)]
pub struct MigrateArgs {
    /// Where.
    #[command(flatten)]
    database: DatabaseSettings,

    /// The number of the last migration to apply. Unless given, all are.
    ///
    /// On a large table an index is made by hand, without keeping writers out, before the migration that would make it.
    ///
    /// Example: gladia-gateway migrate --to 26
    #[arg(long, value_name = "NUMBER")]
    to: Option<i64>,
}

/// Applies the migrations that the database lacks.
///
/// # Errors
/// Where the database is out of reach or refuses one, or there is none of the number to stop at.
pub async fn run(args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    if let Some(last) = args.to {
        ensure!(
            MIGRATOR.version_exists(last),
            "there is no migration {last}"
        );
    }
    let mut applied = 0;
    let mut tries = 1;
    let after = loop {
        let mut conn = connect(&args.database).await?;
        // The migrator takes this same lock once more. Held from here on, what is counted is what this run applies, and two
        // runs do not collide over the table that counts.
        conn.lock().await?;
        let before = list_applied(&mut conn).await?;
        let migrated = match args.to {
            None => MIGRATOR.run(&mut conn).await,
            Some(last) => MIGRATOR.run_to(last, &mut conn).await,
        };
        match migrated {
            Err(error) if tries < MIGRATION_TRIES && gave_way(&error) => {
                // What it has applied before that one counts as well.
                applied += list_applied(&mut conn).await?.len() - before.len();
                // With it goes the lock, so that others get through in between.
                conn.close().await?;
                tries += 1;
                tokio::time::sleep(MIGRATION_PAUSE).await;
            }
            migrated => {
                migrated.context("the migrations were not all applied")?;
                let after = list_applied(&mut conn).await?;
                conn.unlock().await?;
                applied += after.len() - before.len();
                break after;
            }
        }
    };
    let version = after.into_iter().max().unwrap_or_default();
    output::line(&match applied {
        0 => format!("Nothing to apply: the database is at version {version}"),
        1 => format!("Applied 1 migration: the database is at version {version}"),
        _ => format!("Applied {applied} migrations: the database is at version {version}"),
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list_applied(conn: &mut PgConnection) -> anyhow::Result<Vec<i64>> {
    conn.ensure_migrations_table(&MIGRATOR.table_name).await?;
    let applied = conn.list_applied_migrations(&MIGRATOR.table_name).await?;
    Ok(applied
        .into_iter()
        .map(|migration| migration.version)
        .collect())
}
