//! What a role or a database is set to (`ALTER DATABASE … SET`), which holds for whoever else is there and not for the gateway; and
//! how it keeps text, which does.

use serde_json::json;
use sqlx::{AssertSqlSafe, Postgres, Transaction};
use url::Url;

use crate::support::{
    Caller, TestApp,
    callbacks::processing,
    command::{run, run_with},
    eventually,
    process::Process,
};

/// Sets the database to something.
async fn set(app: &TestApp, name: &str, value: &str) {
    let database: String = sqlx::query_scalar("SELECT current_database()")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    app.execute(&format!("ALTER DATABASE {database} SET {name} = '{value}'"))
        .await;
}

/// A caller of a gateway that has known the database as it is now alone.
async fn caller_of_another(app: &mut TestApp) -> Caller {
    app.add_replica(&[]).await;
    app.acme.at(&app.replicas.last().unwrap().base)
}

/// Somebody's change of a row.
async fn change(app: &TestApp, statement: String) -> Transaction<'static, Postgres> {
    let mut somebody = app.pool.begin().await.unwrap();
    let changed = sqlx::query(AssertSqlSafe(statement)).execute(&mut *somebody);
    assert_eq!(changed.await.unwrap().rows_affected(), 1);
    somebody
}

async fn change_job(app: &TestApp, id: &str) -> Transaction<'static, Postgres> {
    let same = format!("UPDATE jobs SET status_reason = status_reason WHERE id = '{id}'");
    change(app, same).await
}

/// Until a statement that has this in it has waited so long for somebody else.
async fn until_one_waits(app: &TestApp, part: &str, for_as_long_as: &str) {
    let one = format!(
        "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%{part}%'
         AND query_start < clock_timestamp() - interval '{for_as_long_as}'"
    );
    eventually("statement that waits", async || {
        (app.rows(&one).await > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_isolation_the_database_is_set_to_whoever_waits_for_a_change_goes_on_from_it() {
    let mut app = TestApp::start().await;
    let (id, ..) = processing(&app).await;
    set(&app, "default_transaction_isolation", "repeatable read").await;
    let caller = caller_of_another(&mut app).await;

    let somebody = change_job(&app, &id).await;
    let commits = async {
        until_one_waits(&app, "FROM jobs", "0 s").await;
        somebody.commit().await.unwrap();
    };
    let (canceled, ()) = tokio::join!(caller.cancel(&id), commits);
    canceled.expect(200);

    let same = "UPDATE dispatch SET max_in_flight = max_in_flight".to_owned();
    let somebody = change(&app, same).await;
    let commits = async {
        until_one_waits(&app, "INSERT INTO dispatch", "0 s").await;
        somebody.commit().await.unwrap();
    };
    let command = ["limits", "set", "max-in-flight", "7"];
    let ((is_set, shown), ()) = tokio::join!(run(&app, &command), commits);
    assert!(is_set && shown.contains("max in flight  7"), "{shown}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_limits_of_the_database_end_neither_what_waits_nor_who_listens() {
    let mut app = TestApp::start().await;
    let (id, ..) = processing(&app).await;
    for limit in ["statement_timeout", "idle_session_timeout"] {
        set(&app, limit, "100ms").await;
    }
    let caller = caller_of_another(&mut app).await;

    let somebody = change_job(&app, &id).await;
    let commits = async {
        until_one_waits(&app, "FROM jobs", "1 s").await;
        somebody.commit().await.unwrap();
    };
    let (canceled, ()) = tokio::join!(caller.cancel(&id), commits);
    canceled.expect(200);
    // Both of them.
    let listeners = "pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'
                     AND backend_start < clock_timestamp() - interval '1 s'";
    assert_eq!(app.rows(listeners).await, 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_ends_since_it_was_open_for_too_long_may_be_asked_for_again() {
    let app = TestApp::start().await;
    // As Postgres has it from version 17 on.
    app.execute(
        "CREATE FUNCTION ends() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'terminating connection due to transaction timeout' USING ERRCODE = '25P04'; END $$",
    )
    .await;
    app.execute("CREATE TRIGGER ends BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION ends()")
        .await;
    let body = json!({ "audio_url": "https://audio.example/spoken.mp3" });
    let refused = app.acme.transcribe(&body).await;
    refused.problem(503, "database-unavailable");
    assert!(refused.header("retry-after").is_some());

    app.execute("DROP TRIGGER ends ON jobs").await;
    let id = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

/// The address of another database on the same server.
async fn create_database(app: &TestApp, encoding: &str) -> (Url, String) {
    let mut url: Url = app.database_url().parse().unwrap();
    let name = format!("{}_{encoding}", url.path().trim_start_matches('/')).to_lowercase();
    app.execute(&format!(
        "CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
    ))
    .await;
    url.set_path(&name);
    (url, name)
}

async fn drop_database(app: &TestApp, name: &str) {
    app.execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_keep_every_language_is_refused_at_the_start() {
    let app = TestApp::start().await;
    let (url, name) = create_database(&app, "LATIN1").await;
    let setting = [("DATABASE_URL", url.as_str())];
    let log = Process::serve(&app, &setting).failure().await;
    let (migrated, _, error) = run_with(&app, &["migrate"], &setting).await;
    assert!(!migrated);
    for told in [log.join("\n"), error] {
        assert!(told.contains("LATIN1") && told.contains("UTF8"), "{told}");
    }
    drop_database(&app, &name).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_keeps_bytes_as_they_come_keeps_every_language() {
    let app = TestApp::start().await;
    let (url, name) = create_database(&app, "SQL_ASCII").await;
    let key = "ggw_0123456789abcdef0123456789abcdef";
    let setting = [
        ("DATABASE_URL", url.as_str()),
        ("BOOTSTRAP_API_KEY", key),
        // Nobody, so that the job stays as it was accepted.
        ("GLADIA_API_URL", "http://127.0.0.1:9"),
    ];
    let mut process = Process::serve(&app, &setting);
    let address = process.address().await;
    let caller = app
        .acme
        .at(&format!("http://{address}"))
        .with_key(Some(key));
    let metadata = json!({"Größe": "これは𝄞です"});
    let body =
        json!({"audio_url": "https://recordings.example/a.mp3", "custom_metadata": metadata});
    let created = caller.post("/v1/transcriptions", &body).await.expect(202);
    let path = format!("/v1/transcriptions/{}", created["id"].as_str().unwrap());
    let shown = caller.get(&path).await.expect(200);
    assert_eq!(shown["options"]["custom_metadata"], metadata);
    drop(process);
    drop_database(&app, &name).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_the_address_that_have_no_effect_are_named_once_and_their_values_are_not() {
    let app = TestApp::start().await;
    let mut url: Url = app.database_url().parse().unwrap();
    url.query_pairs_mut()
        .append_pair("target_session_attrs", "hunter2")
        .append_pair("connect_timeout", "hunter2");
    let mut process = Process::serve(&app, &[("DATABASE_URL", url.as_str())]);
    process.address().await;
    process.terminate();
    let log = process.log().await;
    let named = log.iter().filter(|line| {
        line.contains("DATABASE_URL") && line.ends_with(": connect_timeout, target_session_attrs")
    });
    assert_eq!(named.count(), 1, "{log:#?}");
    assert!(!log.concat().contains("hunter2"), "{log:#?}");
    app.finish().await;
}
