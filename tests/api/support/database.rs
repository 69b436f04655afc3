//! One Postgres for the whole run, and a database of its own for each test.

use std::sync::atomic::{AtomicUsize, Ordering};

use gladia_gateway::{
    db,
    dev_tools::postgres::{EmbeddedPostgres, Options},
};
use sqlx::{Postgres, Transaction};
use tokio::sync::OnceCell;

use super::{TestApp, eventually};

/// Copied for each test, so that the migrations run once.
const TEMPLATE: &str = "template_of_tests";

static SERVER: OnceCell<EmbeddedPostgres> = OnceCell::const_new();

static NEXT: AtomicUsize = AtomicUsize::new(1);

/// The server. It ends with the process, as every embedded one does.
pub async fn server() -> &'static EmbeddedPostgres {
    SERVER
        .get_or_init(|| async {
            let options = Options {
                max_connections: 300,
                ..Options::default()
            };
            let server = EmbeddedPostgres::start(options)
                .await
                .expect("an embedded Postgres starts");
            server
                .create_database(TEMPLATE, None)
                .await
                .expect("the template is created");
            let options = db::parse_url(&server.url(TEMPLATE)).expect("the address is valid");
            db::migrate(&options).await.expect("the migrations apply");
            server
        })
        .await
}

/// Makes a database, migrated or empty, and gives its name.
pub async fn create(migrated: bool) -> String {
    let server = server().await;
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    server
        .create_database(&name, migrated.then_some(TEMPLATE))
        .await
        .expect("a database is created");
    name
}

/// Holds the advisory lock 7, for which a test's trigger has statements wait, until the transaction ends.
pub async fn hold_lock(app: &TestApp) -> Transaction<'static, Postgres> {
    let mut holds_up = app.pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(7)")
        .execute(&mut *holds_up)
        .await
        .unwrap();
    holds_up
}

/// Until as many statements wait for somebody's lock.
pub async fn until_statements_wait(app: &TestApp, count: i64) {
    eventually("statements that wait", async || {
        let waiting = app
            .rows(
                "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .await;
        (waiting >= count).then_some(())
    })
    .await;
}
