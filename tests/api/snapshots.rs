//! A snapshot that somebody keeps open: of what has changed since then Postgres forgets nothing.

use url::Url;
use uuid::Uuid;

use crate::support::{Caller, TestApp, eventually, process::Process};

/// How many transactions have written since the oldest snapshot.
async fn transactions(caller: &Caller) -> f64 {
    let text = caller.with_key(None).get("/metrics").await.text();
    let name = "gateway_database_oldest_snapshot_transactions ";
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

/// Until that is as it should be.
async fn until(caller: &Caller, what: &str, holds: impl Fn(f64) -> bool) {
    eventually(what, async || {
        holds(transactions(caller).await).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_much_has_changed_since_the_oldest_snapshot_shows_as_long_as_it_is_open() {
    let app = TestApp::start().await;
    let mut report = app.pool.begin().await.unwrap();
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM jobs")
        .execute(&mut *report)
        .await
        .unwrap();
    for _ in 0..200 {
        app.execute("SELECT pg_current_xact_id()").await;
    }
    until(&app.acme, "old snapshot", |since| since >= 200.0).await;
    report.rollback().await.unwrap();
    until(&app.acme, "end of the snapshot", |since| since < 200.0).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_does_not_tell_is_not_known_and_keeps_nothing_else_from_being_told() {
    let app = TestApp::start().await;
    let role = format!("unprivileged_{}", Uuid::new_v4().simple());
    for statement in [
        "CREATE ROLE role LOGIN PASSWORD 'unprivileged'",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO role",
    ] {
        app.execute(&statement.replace("role", &role)).await;
    }
    let mut url: Url = app.database_url().parse().unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("unprivileged")).unwrap();
    let setting = [("DATABASE_URL", url.as_str())];
    let mut process = Process::serve_with(&app, &["--no-migrate"], &setting);
    let caller = app.acme.at(&format!("http://{}", process.address().await));

    assert!(transactions(&caller).await.is_nan());
    let text = caller.with_key(None).get("/metrics").await.text();
    assert!(text.contains("\ngateway_lanes_open 0\n"), "{text}");
    app.execute(&format!("GRANT pg_read_all_stats TO {role}"))
        .await;
    until(&caller, "number", |since| since >= 0.0).await;

    process.terminate();
    process.log().await;
    app.execute(&format!("DROP OWNED BY {role}")).await;
    app.execute(&format!("DROP ROLE {role}")).await;
    app.finish().await;
}
