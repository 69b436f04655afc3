//! `migrate`: the tables of this version. Any number of them may run at once; one works and the others wait.

use std::process::ExitCode;

use anyhow::Context;
use sqlx::{PgConnection, migrate::Migrate};

use super::{connect::connect, output};
use crate::{config::DatabaseSettings, db::MIGRATOR};

/// Applies the migrations that the database lacks.
///
/// # Errors
/// Where the database is out of reach or refuses one.
pub async fn run(settings: &DatabaseSettings) -> anyhow::Result<ExitCode> {
    let mut conn = connect(settings).await?;
    // The migrator takes this same lock once more. Held from here on, what is counted is what this run applies, and two
    // runs do not collide over the table that counts.
    conn.lock().await?;
    let before = count_applied(&mut conn).await?;
    MIGRATOR
        .run(&mut conn)
        .await
        .context("the migrations were not all applied")?;
    let applied = count_applied(&mut conn).await?.saturating_sub(before);
    conn.unlock().await?;
    let version = MIGRATOR.iter().map(|migration| migration.version).max();
    let version = version.unwrap_or_default();
    output::line(&match applied {
        0 => format!("Nothing to apply: the database is at version {version}"),
        1 => format!("Applied 1 migration: the database is at version {version}"),
        _ => format!("Applied {applied} migrations: the database is at version {version}"),
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn count_applied(conn: &mut PgConnection) -> anyhow::Result<usize> {
    conn.ensure_migrations_table(&MIGRATOR.table_name).await?;
    let applied = conn.list_applied_migrations(&MIGRATOR.table_name).await?;
    Ok(applied.len())
}
