//! Every SQL statement of the program, as functions on a connection.
//!
//! What is about a table stands in the file that is called after it, and in the folder beside that: a job that is tried again in
//! `jobs/retries.rs`. Here stand besides what moves or reads several tables alike ([`claims`], [`far_ahead`], [`gauges`], [`owners`])
//! and how the database is reached and shared ([`pool`], [`group_commit`], [`wakeups`], [`migrating`], [`clock`]).
//!
//! Callers own the transaction. A move of a row names the state that it leaves in its `WHERE` clause; a message that is
//! late, doubled or stale changes zero rows, and the caller decides what that means.
//!
//! Locks are always waited for in one order: a tenant, a webhook endpoint; `dispatch`, a free slot; a job, its attempt, the slot
//! that the attempt holds, its tenant's line; an upload, deliveries, delivery lanes, a batch; and last `event_sequence`, to change
//! who is told; several of a kind in the order of their ids. Two begin elsewhere: whoever numbers events begins with
//! `event_sequence`, and a claim takes lines along with their jobs. Whatever they lock after that is passed over where it is held
//! (`SKIP LOCKED`), or only held by transactions that wait for neither.
//!
//! What has an id is found by it. A plan that was made while little was open takes the index of what is open for shorter than
//! the way by the id, and walks through all of it once much is. So such statements ask for the state in words that no index
//! answers to (`coalesce(status, '') = 'queued'`), or look up each row by itself (`LATERAL … OFFSET 0`, `= ANY (ARRAY(…))`);
//! `tests/plans` finds those that do not.

use std::{borrow::Cow, io, str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, Row,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};
use tokio::time::timeout;

pub mod api_keys;
pub mod attempts;
pub mod batches;
pub mod callback_keys;
pub mod callbacks;
pub mod claims;
pub mod clock;
pub mod deliveries;
pub mod dispatch;
pub mod events;
pub mod far_ahead;
pub mod gauges;
pub mod group_commit;
pub mod idempotency;
#[cfg(feature = "dev-tools")]
pub mod invariants;
pub mod jobs;
pub mod lines;
pub mod migrating;
pub mod owners;
pub mod pool;
pub mod signing_secrets;
pub mod uploads;
pub mod upstream_deletions;
pub mod wakeups;
pub mod webhook_endpoints;
pub mod webhook_messages;

pub use self::migrating::{MIGRATOR, Migrated, find_missing_migration, migrate, migrate_through};
use self::pool::Pool;

/// Postgres's code for a table that is not there.
pub const UNDEFINED_TABLE: &str = "42P01";

/// The same for a column.
pub const UNDEFINED_COLUMN: &str = "42703";

/// Its code for a right that the role does not have.
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// How long a request waits for a connection before it is answered 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection that was given up in the middle has to answer, before it is closed: whoever waited for its statement is
/// gone, and the statement ends with it ([`CLIENT_CHECK`]).
const USABLE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection may have been idle, in the pool or at hand, and is used unasked. One that has died since it last
/// answered fails whoever uses it, as it does whoever is using it then.
const TRUSTED_IDLE_TIME: Duration = Duration::from_millis(250);

/// What whoever waits for a connection is told where there is only a server that keeps nothing.
const TAKES_NO_WRITES: io::ErrorKind = io::ErrorKind::ReadOnlyFilesystem;

/// Parses a database URL.
///
/// # Errors
/// Where it is none.
pub fn parse_url(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let options = PgConnectOptions::from_str(url)?
        .application_name("gladia-gateway")
        .disable_statement_logging();
    Ok(options)
}

/// Makes a schema of this name, and options whose tables all live in it, apart from everything else in the database.
///
/// # Errors
/// Where the database does not answer, or does not let us.
#[cfg(feature = "dev-tools")]
pub async fn in_own_schema(
    options: PgConnectOptions,
    schema: &'static str,
) -> Result<PgConnectOptions, sqlx::Error> {
    let mut conn = PgConnection::connect_with(&options).await?;
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "CREATE SCHEMA IF NOT EXISTS {schema}"
    )))
    .execute(&mut conn)
    .await?;
    conn.close().await?;
    Ok(options.options([("search_path", schema)]))
}

/// Opens a pool, and proves that the database answers.
///
/// # Errors
/// Where it does not, with the cause: a pool alone would try on, and then only know that its time is up.
pub async fn connect(
    options: PgConnectOptions,
    max_connections: u32,
) -> Result<PgPool, sqlx::Error> {
    PgConnection::connect_with(&options).await?.close().await?;
    Ok(lazy_pool(options, max_connections))
}

/// A pool that connects when it is first asked to.
#[must_use]
pub fn lazy_pool(options: PgConnectOptions, max_connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // Who asks it does so for others, none of whom may have waited for long: `Pool` tells of those who have.
        .acquire_slow_threshold(Duration::MAX)
        .after_connect(|conn, _| Box::pin(prepare_session(conn)))
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(
                async move { Ok(meta.idle_for <= TRUSTED_IDLE_TIME || conn.ping().await.is_ok()) },
            )
        })
        .after_release(|conn, _| {
            Box::pin(async move {
                // Where nobody answers any more, it is not waited for.
                timeout(USABLE_TIMEOUT, is_usable(conn))
                    .await
                    .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
            })
        })
        .connect_lazy_with(options)
}

/// Whether a connection can be used again: its server takes writes, and it is in no transaction of which its client does not know.
///
/// Where another server has taken over, the one before may let those stay who are connected, and refuse whatever they write. And a
/// connection that was opened while the database was set to take no writes keeps to that when it takes them again.
///
/// sqlx rolls a transaction back that is dropped, but knows of none before its beginning is answered. Whoever hangs up at that
/// moment would leave it open, the next one would join it, and lose with it what was answered as kept. So whatever is not
/// known to be done ([`pool::Loan::put_back`]) is asked before it is used again.
async fn is_usable(conn: &mut PgConnection) -> sqlx::Result<bool> {
    // One message without parameters: a transaction of its own begins at the very instant of its statement.
    sqlx::raw_sql(
        "SELECT now() = statement_timestamp() AND current_setting('transaction_read_only') = 'off'",
    )
    .fetch_one(conn)
    .await?
    .try_get(0)
}

/// What every connection is set to.
///
/// What a process that vanishes in the middle of a transaction can hold up is bounded: without this Postgres keeps its locks
/// until TCP gives up, hours later, and every claim in every replica waits for them. And statements are planned once a
/// connection rather than whenever Postgres expects a little from knowing their values: most are so short that planning takes
/// longer than carrying out. So every statement has to be good with one plan for all values, and by indexes: a plan is kept
/// while its tables grow, also the one that was made while they had a page or two and would have been read from end to end, and
/// the page that an index leads to is nearly always in memory. By a walk of the index, at that: what is done is forgotten by the
/// indexes of what waits when a walk meets it, while a bitmap meets it again each time until a vacuum. None is worth compiling,
/// which Postgres does where it expects much, as of a table that it has not counted yet.
///
/// Whatever a role or a database is set to (`ALTER ROLE … SET`), each statement sees what was committed before it, also by whom it
/// has waited for: with any other isolation whoever waits for a row that somebody changes would be refused. Nor do their time limits
/// hold: whoever asks for something has bounds of its own ([`pool::in_time`]), that fit what it asks for, and who listens is silent
/// for long. Not every server knows all of them. Whether it takes no writes is left to them, since that is how a database is closed
/// to all that write ([`ping`]), and so is the schema.
pub const SESSION_SETTINGS: &str = "
    SET default_transaction_isolation = 'read committed';
    SET statement_timeout = 0;
    SET idle_session_timeout = 0;
    SELECT set_config('transaction_timeout', '0', false) WHERE current_setting('transaction_timeout', true) IS NOT NULL;
    SET idle_in_transaction_session_timeout = '15s';
    SET lock_timeout = '10s';
    SET plan_cache_mode = force_generic_plan;
    SET random_page_cost = 1.1;
    SET enable_seqscan = off;
    SET enable_bitmapscan = off;
    SET jit = off;
    SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";

/// How often Postgres looks, in the middle of a statement, whether its client is still there. Without this a statement whose caller
/// has hung up goes on to its end, with its locks, and so do those of a process that has died.
const CLIENT_CHECK: &str = "SET client_connection_check_interval = '2s'";

/// Sets a connection up, as every one is that carries the statements out.
///
/// # Errors
/// Where the database does not answer, or refuses.
pub async fn prepare_session(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    conn.execute(SESSION_SETTINGS).await?;
    check_on_client(conn).await
}

/// Has Postgres end a statement whose client is gone, where it can tell.
async fn check_on_client(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    match conn.execute(CLIENT_CHECK).await {
        // By itself, since it is refused where the server's system cannot tell, and by what passes for Postgres.
        Err(sqlx::Error::Database(error)) => {
            tracing::debug!(%error, "Statements of callers who hang up go on to their end");
            Ok(())
        }
        other => other.map(drop),
    }
}

fn code_of(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}

/// Whether the database takes writes. A standby and one that is set to take none (its disk is full, say) answer all the same.
///
/// # Errors
/// Where it does not answer.
pub async fn ping(pool: &Pool) -> Result<bool, sqlx::Error> {
    let mut conn = match pool.acquire().await {
        Err(sqlx::Error::Io(error)) if error.kind() == TAKES_NO_WRITES => return Ok(false),
        opened => opened?,
    };
    let takes_writes = takes_writes(&mut conn).await?;
    if takes_writes {
        conn.put_back();
    }
    Ok(takes_writes)
}

/// The same of the server at the other end of a connection.
///
/// # Errors
/// Where it does not answer.
pub async fn takes_writes(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT current_setting('transaction_read_only') = 'off' AS "is!""#)
        .fetch_one(conn)
        .await
}

/// How the database keeps text.
///
/// # Errors
/// Where it does not answer.
pub async fn find_encoding(conn: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar!(r#"SELECT current_setting('server_encoding') AS "encoding!""#)
        .fetch_one(conn)
        .await
}

/// Whether the database was away, so that the same statement may succeed later.
#[must_use]
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(_) if is_login_refused(error) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // Class 08: the connection; 53: out of connections, disk or memory; 57: a shutdown, say; 40: gave way to others.
            ["08", "53", "57", "40"].iter().any(|class| code.starts_with(class))
                // A lock that took too long, a transaction that sat idle or was open for too long, a standby that is not yet the
                // primary.
                || ["55P03", "25P03", "25P04", "25006"].contains(&code.as_ref())
        }),
        _ => false,
    }
}

/// Whether Postgres does not let the gateway in: until somebody mends the role, its password, the rules for it or the database's
/// name, no statement succeeds, and then each of them may.
#[must_use]
pub fn is_login_refused(error: &sqlx::Error) -> bool {
    // Class 28: the role or its password; 3D000: there is no such database.
    code_of(error).is_some_and(|code| code.starts_with("28") || code == "3D000")
}

/// Whether Postgres was there, and ended the statement in favour of others or because somebody told it to.
#[must_use]
pub fn has_given_way(error: &sqlx::Error) -> bool {
    // Class 40: transaction rollback; 55P03: a lock that took too long; 57014: canceled.
    code_of(error).is_some_and(|code| code.starts_with("40") || code == "55P03" || code == "57014")
}

/// Whether Postgres gave the transaction up in favour of another, so that it may simply be repeated.
#[must_use]
pub fn is_conflict(error: &sqlx::Error) -> bool {
    // Class 40: transaction rollback, by a deadlock for one. 23505: somebody else was first, and now stands in the rows.
    code_of(error).is_some_and(|code| code.starts_with("40") || code == "23505")
}

/// Whether a row refers to one that is gone, by this constraint.
fn refers_to_nothing(error: &sqlx::Error, constraint: &str) -> bool {
    error.as_database_error().is_some_and(|error| {
        error.is_foreign_key_violation() && error.constraint() == Some(constraint)
    })
}

/// A row that this program cannot have written.
fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
