//! What another connection sees of the one that migrates: who holds up what it waits for, and whether its server still has it.
//!
//! A server whose host is gone says nothing any more, as one that makes an index does. Whoever has its name by then, be it
//! another host or the same one after a new start, does not know of the process that migrated.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep};

use crate::db::pool::within;

/// When it is first looked, and how often. Who is seen in the way twice in a row is told, and so it is found that the server's
/// process is gone: in between its connection says how it ended, where it can.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long the server may take for a look. Where it takes longer, another connection is tried.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the same ones are not told again.
const TOLD_INTERVAL: Duration = Duration::from_mins(1);

/// The server's process at the other end.
#[derive(Debug)]
pub(super) struct Backend {
    pid: i32,
    /// Others have the same number after it. `None`: the server does not tell, as to whoever has taken on another role.
    started_at: Option<DateTime<Utc>>,
    /// When the server itself has started, which everybody may know.
    server_started_at: DateTime<Utc>,
}

impl Backend {
    /// That of a connection.
    pub(super) async fn find(conn: &mut PgConnection) -> sqlx::Result<Self> {
        sqlx::query_as!(
            Self,
            r#"
            SELECT pg_backend_pid() AS "pid!", pg_postmaster_start_time() AS "server_started_at!",
                   (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()) AS started_at
            "#,
        )
        .fetch_one(conn)
        .await
    }

    /// Whether the server has it, as far as it tells.
    async fn is_there(&self, conn: &mut PgConnection) -> sqlx::Result<bool> {
        sqlx::query_scalar!(
            r#"
            SELECT pg_postmaster_start_time() = $3
                   AND EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND backend_start IS NOT DISTINCT FROM $2) AS "is!"
            "#,
            self.pid,
            self.started_at,
            self.server_started_at,
        )
        .fetch_one(conn)
        .await
    }
}

/// Who holds what somebody waits for.
#[derive(Debug)]
struct Holder {
    /// Of the server's process; 0: a prepared transaction.
    pid: i32,
    application_name: Option<String>,
    /// Since when its transaction is open. `None`: it is another role's, which may not be seen, or none is.
    since: Option<DateTime<Utc>>,
}

/// Looks until the server is there and does not have the process any more. As long as the server is away the process may be
/// there still. Meanwhile it tells who holds what the process waits for; not what was asked there, which may have anything in it.
pub(super) async fn until_lost(options: &PgConnectOptions, backend: &Backend) {
    loop {
        sleep(LOOK_INTERVAL).await;
        match look(options, backend).await {
            Ok(Lost) => return,
            Err(error) => {
                tracing::debug!(%error, "Could not find out what the migrations wait for");
            }
        }
    }
}

/// The server is there, and does not have the process.
struct Lost;

async fn look(options: &PgConnectOptions, backend: &Backend) -> sqlx::Result<Lost> {
    let mut conn = within(LOOK_TIMEOUT, PgConnection::connect_with(options)).await?;
    let mut was_there = true;
    let mut in_the_way = InTheWay::default();
    loop {
        let is_there = within(LOOK_TIMEOUT, backend.is_there(&mut conn)).await?;
        if !is_there && !was_there {
            return Ok(Lost);
        }
        was_there = is_there;
        let holders = within(LOOK_TIMEOUT, list_holders(&mut conn, backend.pid)).await?;
        in_the_way.tell(&holders);
        sleep(LOOK_INTERVAL).await;
    }
}

/// Who has been seen and told.
#[derive(Debug, Default)]
struct InTheWay {
    seen: Vec<i32>,
    told: Option<(Vec<i32>, Instant)>,
}

impl InTheWay {
    /// Tells those who are seen for the second time in a row.
    fn tell(&mut self, holders: &[Holder]) {
        let now: Vec<i32> = holders.iter().map(|holder| holder.pid).collect();
        let is_news = self
            .told
            .as_ref()
            .is_none_or(|(pids, at)| *pids != now || at.elapsed() >= TOLD_INTERVAL);
        if !now.is_empty() && self.seen == now && is_news {
            for holder in holders {
                tell(holder);
            }
            self.told = Some((now.clone(), Instant::now()));
        }
        self.seen = now;
    }
}

fn tell(holder: &Holder) {
    let Holder {
        pid,
        application_name,
        since,
    } = holder;
    let name = application_name.as_deref().unwrap_or_default();
    let since = since.map(|since| since.to_rfc3339());
    tracing::warn!(
        pid,
        application_name = name,
        since,
        "The migrations wait for what the Postgres process {pid} ({name}) holds"
    );
}

async fn list_holders(conn: &mut PgConnection, pid: i32) -> sqlx::Result<Vec<Holder>> {
    sqlx::query_as!(
        Holder,
        r#"
        SELECT DISTINCT blocking.pid AS "pid!", a.application_name, a.xact_start AS since
        FROM unnest(pg_blocking_pids($1)) AS blocking (pid) LEFT JOIN pg_stat_activity a ON a.pid = blocking.pid
        ORDER BY blocking.pid LIMIT 5
        "#,
        pid,
    )
    .fetch_all(conn)
    .await
}
