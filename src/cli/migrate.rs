//! `migrate`: the tables of this version. Any number of them may run at once; one works and the others wait.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;

use super::{connect::connect_as_it_is, output};
use crate::{
    app::check_encoding,
    config::DatabaseSettings,
    db::{self, MIGRATOR, Migrated, pool::in_time},
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
    let mut conn = connect_as_it_is(&args.database).await?;
    in_time(check_encoding(&mut conn)).await?;
    let options = args.database.database_url.options();
    let migrated = db::migrate_through(conn, &options, args.to).await;
    let Migrated { applied, version } = migrated.context("the migrations were not all applied")?;
    output::line(&match applied {
        0 => format!("Nothing to apply: the database is at version {version}"),
        1 => format!("Applied 1 migration: the database is at version {version}"),
        _ => format!("Applied {applied} migrations: the database is at version {version}"),
    })?;
    Ok(ExitCode::SUCCESS)
}
