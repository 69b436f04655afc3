//! Applying the migrations, beside gateways that are at work.
//!
//! Whoever waits for a lock on a table has everybody wait who wants the table after that, so no migration does for long: it gives
//! way, nothing has changed, and it is tried again. Nor does it depend on what a role or a database is set to (`ALTER ROLE … SET`):
//! bounds that are right for a request would end the making of an index in the middle, and no bound at all would let one wait
//! for as long as somebody's transaction is open. Who holds what is waited for is told, so that somebody can do something about it.
//!
//! An index may take hours, in which nothing comes from the server, so silence has no bound. Whether the server still works on
//! it is looked at from beside.

mod beside;

use std::{io, sync::LazyLock, time::Duration};

use sqlx::{
    Connection, Executor, PgConnection,
    migrate::{Migrate, MigrateError, Migrator},
    postgres::PgConnectOptions,
};
use tokio::time::sleep;

use self::beside::Backend;
use super::{UNDEFINED_TABLE, check_on_client, code_of, pool::within};

/// The migrations, compiled in.
///
/// A database that is ahead is fine: during a rolling update an older replica may start after a newer one has migrated.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    migrator.set_ignore_missing(true);
    migrator
});

/// How often migrations are tried, where the last one gave way to whoever held its table.
const TRIES: u32 = 30;

/// How long others have the table in between, the first time and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long the server may take to take a connection, or to answer what takes no time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What the connection is set to, whatever its role is.
///
/// A lock is waited for longer than for a second, after which Postgres has a vacuum give way to whoever waits. An index may take
/// hours; of a process that dies meanwhile it ends, too, since it would be thrown away in the end. A process that vanishes in the
/// middle holds a table up no longer than any other. Rows that gateways change meanwhile are waited for, and no reason to refuse.
/// Some of what ends a session or a statement is not known to older servers.
const SESSION_SETTINGS: &str = "
    SET default_transaction_isolation = 'read committed';
    SET lock_timeout = '3s';
    SET idle_in_transaction_session_timeout = '15s';
    SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3;
    SELECT set_config(name, '0', false) FROM pg_settings
    WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_session_timeout')";

/// What was done.
#[derive(Debug, Clone, Copy)]
pub struct Migrated {
    /// How many migrations were applied.
    pub applied: usize,
    /// The last one that the database has by now.
    pub version: i64,
}

/// Applies the migrations. An advisory lock lets many replicas start at once.
///
/// # Errors
/// Where the database does not answer, or refuses one.
pub async fn migrate(options: &PgConnectOptions) -> Result<Migrated, MigrateError> {
    let conn = within(ANSWER_TIMEOUT, PgConnection::connect_with(options)).await?;
    migrate_through(conn, options, None).await
}

/// The same, through a connection that is open: none of a pool's, since one replica may have to wait for another one's
/// migrations, longer than for any lock. Up to a version, if one is given.
///
/// # Errors
/// Where the database refuses a migration, or is away by now.
pub async fn migrate_through(
    mut conn: PgConnection,
    options: &PgConnectOptions,
    last: Option<i64>,
) -> Result<Migrated, MigrateError> {
    let (mut applied, mut tries) = (0, 1);
    loop {
        let backend = within(ANSWER_TIMEOUT, prepare(&mut conn)).await?;
        let outcome = tokio::select! {
            outcome = try_once(&mut conn, last, &mut applied) => outcome,
            // Nobody is there to whom it could be closed.
            () = beside::until_lost(options, &backend) => return Err(lost().into()),
        };
        // With it goes the advisory lock, so that others get through in between.
        let closed = conn.close().await;
        match outcome {
            Err(error) if tries < TRIES && gave_way(&error) => {
                sleep((FIRST_PAUSE * tries).min(LONGEST_PAUSE)).await;
                tries += 1;
                conn = within(ANSWER_TIMEOUT, PgConnection::connect_with(options)).await?;
            }
            Err(error) => return Err(error),
            Ok(version) => {
                closed?;
                return Ok(Migrated { applied, version });
            }
        }
    }
}

async fn prepare(conn: &mut PgConnection) -> sqlx::Result<Backend> {
    conn.execute(SESSION_SETTINGS).await?;
    check_on_client(conn).await?;
    Backend::find(conn).await
}

fn lost() -> sqlx::Error {
    let lost = "the server does not know of them any more, and has not said how they ended";
    sqlx::Error::Io(io::Error::new(io::ErrorKind::ConnectionAborted, lost))
}

/// Applies what is missing, and adds up how much that was. Returns the version afterwards.
async fn try_once(
    conn: &mut PgConnection,
    last: Option<i64>,
    applied: &mut usize,
) -> Result<i64, MigrateError> {
    // The migrator takes this same lock once more. Held from here on, what is counted is what is applied here, and two runs do
    // not collide over the table that counts.
    lock(conn).await?;
    let before = list_applied(conn).await?;
    // Not `run`: what it is generic over keeps the compiler from seeing that this may move between threads.
    let migrated = MIGRATOR.run_direct(last, conn, false).await;
    let after = list_applied(conn).await;
    // What was applied before one that gave way counts as well.
    if let Ok(after) = &after {
        *applied += after.len() - before.len();
    }
    migrated?;
    Ok(after?.into_iter().max().unwrap_or_default())
}

/// Waits until nobody else migrates, for as long as that takes: nobody waits behind this. Asked for anew each time, so that no
/// statement is open for long, which an index that is made `CONCURRENTLY` meanwhile would have to wait for.
async fn lock(conn: &mut PgConnection) -> Result<(), MigrateError> {
    loop {
        match conn.lock().await {
            Err(MigrateError::Execute(error)) if is_locked_out(&error) => {}
            locked => return locked,
        }
    }
}

async fn list_applied(conn: &mut PgConnection) -> Result<Vec<i64>, MigrateError> {
    conn.ensure_migrations_table(&MIGRATOR.table_name).await?;
    let applied = conn.list_applied_migrations(&MIGRATOR.table_name).await?;
    Ok(applied
        .into_iter()
        .map(|migration| migration.version)
        .collect())
}

/// The first migration of this version that the database lacks, as its file is named. One that is ahead lacks none.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_missing_migration(
    conn: &mut PgConnection,
) -> Result<Option<String>, MigrateError> {
    let applied = match conn.list_applied_migrations(&MIGRATOR.table_name).await {
        Ok(applied) => applied,
        // A new database has not even the list of them.
        Err(MigrateError::Execute(error))
            if code_of(&error).as_deref() == Some(UNDEFINED_TABLE) =>
        {
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    let is_applied = |version| applied.iter().any(|migration| migration.version == version);
    let missing = MIGRATOR
        .iter()
        .find(|migration| !is_applied(migration.version));
    Ok(missing.map(|migration| format!("{:04} {}", migration.version, migration.description)))
}

/// Whether a migration waited too long for a lock, which is told then. It may be tried again, on another connection.
fn gave_way(error: &MigrateError) -> bool {
    let (error, version) = match error {
        MigrateError::ExecuteMigration(error, version) => (error, Some(*version)),
        // The table of what is applied.
        MigrateError::Execute(error) => (error, None),
        _ => return false,
    };
    let gave_way = is_locked_out(error);
    if gave_way {
        tracing::warn!(%error, version, "A migration gave way to others; trying again");
    }
    gave_way
}

/// Whether a lock was waited for too long.
fn is_locked_out(error: &sqlx::Error) -> bool {
    code_of(error).is_some_and(|code| ["55P03", "40P01"].contains(&code.as_ref()))
}
