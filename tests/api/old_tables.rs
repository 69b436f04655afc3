//! `serve --no-migrate` on tables that another version made.

use crate::support::{TestApp, command::run_with, process::Process, spool::SpoolDirectory};

/// The address of a database beside the test's own, at this version.
async fn database_at(app: &TestApp, version: &str) -> String {
    app.execute("CREATE SCHEMA other").await;
    let url = format!("{}&options=-csearch_path%3Dother", app.database_url());
    if version != "0" {
        let migrate = ["migrate", "--to", version];
        let (migrated, _, error) = run_with(app, &migrate, &[("DATABASE_URL", &url)]).await;
        assert!(migrated, "{error}");
    }
    url
}

fn assert_names_what_is_missing(log: &[String], missing: &str) {
    let told = log
        .iter()
        .any(|line| line.contains(missing) && line.contains("`gladia-gateway migrate`"));
    assert!(told, "{log:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_too_old_stop_a_start_that_does_not_migrate() {
    for (version, missing) in [("0", "0001 clock"), ("37", "0041 lines")] {
        let app = TestApp::start().await;
        let url = database_at(&app, version).await;
        let process = Process::serve_with(&app, &["--no-migrate"], &[("DATABASE_URL", &url)]);
        assert_names_what_is_missing(&process.failure().await, missing);
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_turn_out_to_be_too_old_stop_a_start_without_the_database() {
    let directory = SpoolDirectory::new();
    let app = TestApp::builder().with_database_relay().start().await;
    let url = database_at(&app, "37").await;
    app.database_relay().cut().await;
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("CALLBACK_SPOOL_DIR", directory.setting()),
    ];
    let mut process = Process::serve_with(&app, &["--no-migrate"], &settings);
    process.listens().await;
    app.database_relay().mend();
    assert_names_what_is_missing(&process.failure().await, "0041 lines");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_this_version_or_a_newer_one_are_served_without_migrating() {
    let app = TestApp::start().await;
    app.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'of a newer version', true, '', 0)",
    )
    .await;
    let mut process = Process::serve_with(&app, &["--no-migrate"], &[]);
    let base = format!("http://{}", process.address().await);
    let ready = app.acme.at(&base).with_key(None).get("/readyz").await;
    assert_eq!(ready.status, 200);
    process.terminate();
    process.log().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_needs_newer_tables_says_how_to_get_them_and_nothing_of_postgres_own_source()
{
    let app = TestApp::start().await;
    for lacking in [
        "ALTER TABLE api_keys DROP COLUMN revoked_at CASCADE",
        "DROP TABLE api_keys CASCADE",
    ] {
        app.execute(lacking).await;
        let (succeeded, _, told) = run_with(&app, &["keys", "list"], &[]).await;
        assert!(!succeeded && told.contains("does not exist"), "{told}");
        let hint = told.contains("`gladia-gateway migrate` makes them");
        assert_eq!((hint, told.contains(" at line ")), (true, false), "{told}");
    }
    app.stop().await;
}
