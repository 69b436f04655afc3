//! Migrations that meet others at work, what a role is set to, and what is answered and left behind meanwhile.

use gladia_gateway::{db, domain::ids::AttemptId};
use sqlx::{AssertSqlSafe, Connection, PgConnection, migrate::Migrate};
use url::Url;
use uuid::Uuid;

use crate::support::{
    Answer, TestApp,
    command::{run_with, spawn_with},
    eventually,
    process::Process,
    relay::Relay,
    rows::success,
    spool::SpoolDirectory,
};

/// The address of a schema beside the test's own, where `migrate` has come to this version.
async fn schema_at(app: &TestApp, version: &str) -> String {
    app.execute("CREATE SCHEMA other").await;
    let url = format!("{}&options=-csearch_path%3Dother", app.database_url());
    let migrate = ["migrate", "--to", version];
    let (migrated, _, error) = run_with(app, &migrate, &[("DATABASE_URL", &url)]).await;
    assert!(migrated, "{error}");
    url
}

/// Keeps the migrations from the table `jobs` until it is closed.
async fn hold_jobs(app: &TestApp) -> PgConnection {
    let mut held = PgConnection::connect(app.database_url()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE other.jobs IN ACCESS EXCLUSIVE MODE")
        .execute(&mut held)
        .await
        .unwrap();
    held
}

/// Until the migrations wait for a lock of the table `jobs`, or do not.
async fn until_waiting(app: &TestApp, is_waiting: bool) {
    eventually("change of who waits", async || {
        let waiting: bool = app
            .scalar(
                "SELECT EXISTS (SELECT FROM pg_locks
                                WHERE relation = 'other.jobs'::regclass AND NOT granted)",
            )
            .await;
        (waiting == is_waiting).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_meets_a_long_transaction_gives_way_and_says_whose_it_is() {
    let app = TestApp::start().await;
    let url = schema_at(&app, "22").await;
    let mut somebody = PgConnection::connect(app.database_url()).await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut somebody)
        .await
        .unwrap();
    sqlx::raw_sql("SET application_name = 'nightly report'")
        .execute(&mut somebody)
        .await
        .unwrap();
    let mut open = somebody.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE other.jobs IN ROW EXCLUSIVE MODE")
        .execute(&mut *open)
        .await
        .unwrap();
    let variables = [("DATABASE_URL", url.as_str())];
    let migrating = run_with(&app, &["migrate", "--to", "23"], &variables);
    let ends = async {
        // Twice, and in between whoever wants the table has it.
        for is_waiting in [true, false, true, false] {
            until_waiting(&app, is_waiting).await;
        }
        open.rollback().await.unwrap();
    };
    let ((migrated, said, log), ()) = tokio::join!(migrating, ends);
    assert!(migrated && said.starts_with("Applied 1"), "{said}{log}");
    let told = log.lines().find(|line| line.contains("nightly report"));
    let told = told.unwrap_or_else(|| panic!("nobody is named: {log}"));
    assert!(told.contains(&pid.to_string()), "{told}");
    assert!(!log.contains("ROW EXCLUSIVE"), "{log}");
    somebody.close().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_is_set_to_ends_no_migration_and_no_wait_for_those_of_others() {
    let app = TestApp::start().await;
    let url = schema_at(&app, "60").await;
    let role = format!("bounded_{}", Uuid::new_v4().simple());
    for statement in [
        "CREATE ROLE role LOGIN SUPERUSER PASSWORD 'bounded'",
        "ALTER ROLE role SET statement_timeout = '100ms'",
        "ALTER ROLE role SET lock_timeout = '100ms'",
    ] {
        app.execute(&statement.replace("role", &role)).await;
    }
    let mut url: Url = url.parse().unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("bounded")).unwrap();
    let options = db::parse_url(url.as_str()).unwrap();

    let mut others = PgConnection::connect(app.database_url()).await.unwrap();
    others.lock().await.unwrap();
    let migrating = tokio::spawn(async move { db::migrate(&options).await });
    let waits = format!(
        "pg_stat_activity WHERE usename = '{role}' AND wait_event_type = 'Lock'
         AND query_start < clock_timestamp() - interval '1 s'"
    );
    eventually("wait that is longer than the role's", async || {
        (app.rows(&waits).await > 0).then_some(())
    })
    .await;
    others.unlock().await.unwrap();
    migrating.await.unwrap().unwrap();
    // Nor is there anything left to apply.
    let (_, said, _) = run_with(&app, &["migrate"], &[("DATABASE_URL", url.as_str())]).await;
    assert!(said.starts_with("Nothing to apply"), "{said}");
    // What was made is the role's own.
    let drop = "REASSIGN OWNED BY role TO CURRENT_USER; DROP ROLE role".replace("role", &role);
    sqlx::raw_sql(AssertSqlSafe(drop))
        .execute(&mut others)
        .await
        .unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_migrates_answers_probes_and_keeps_callbacks_where_it_has_a_spool() {
    let app = TestApp::start().await;
    let url = schema_at(&app, "22").await;
    let held = hold_jobs(&app).await;
    let directory = SpoolDirectory::new();
    let database = ("DATABASE_URL", url.as_str());
    let spool = ("CALLBACK_SPOOL_DIR", directory.setting());
    let mut processes = [
        (Process::serve(&app, &[database]), 503),
        (Process::serve(&app, &[database, spool]), 200),
    ];
    until_waiting(&app, true).await;
    let mut callers = Vec::new();
    for (process, callback) in &mut processes {
        let base = format!("http://{}", process.listens().await);
        let caller = app.acme.at(&base);
        let anonymous = caller.with_key(None);
        assert_eq!(anonymous.get("/livez").await.status, 200);
        // Whoever rolls an update out leaves those that are up until this one is.
        assert_eq!(anonymous.get("/readyz").await.status, 503);
        assert_eq!(anonymous.get("/readyz?for=api").await.status, 503);
        let refused = caller.get("/v1/transcriptions").await;
        refused.problem(503, "database-unavailable");
        assert!(refused.header("retry-after").is_some());
        let attempt = AttemptId(Uuid::now_v7());
        let address = app
            .callback_keys
            .callback_url(&base.parse().unwrap(), attempt);
        let answer = Answer::to(app.http.post(address).body(success("G-1", "words"))).await;
        assert_eq!(answer.status, *callback);
        if *callback == 503 {
            assert!(answer.header("retry-after").is_some());
        }
        callers.push(anonymous);
    }
    // Whoever is told to end meanwhile ends.
    let mut stopped = Process::serve(&app, &[database]);
    stopped.listens().await;
    stopped.terminate();
    stopped.log().await;
    held.close().await.unwrap();
    for anonymous in &callers {
        eventually("readiness for the API", async || {
            (anonymous.get("/readyz?for=api").await.status == 200).then_some(())
        })
        .await;
    }
    for (process, _) in processes {
        process.terminate();
        process.log().await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_migration_postgres_calls_off_ends_with_its_reason_also_where_it_has_a_spool()
{
    let app = TestApp::start().await;
    let url = schema_at(&app, "22").await;
    app.execute(
        "CREATE FUNCTION calls_off() RETURNS event_trigger LANGUAGE plpgsql
         AS $$ BEGIN RAISE 'called off' USING ERRCODE = 'query_canceled'; END $$",
    )
    .await;
    app.execute(
        "CREATE EVENT TRIGGER calls_off ON ddl_command_start WHEN TAG IN ('CREATE INDEX')
         EXECUTE FUNCTION calls_off()",
    )
    .await;
    let directory = SpoolDirectory::new();
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("CALLBACK_SPOOL_DIR", directory.setting()),
    ];
    let said = Process::serve(&app, &variables).failure().await;
    assert!(
        said.iter().any(|line| line.contains("called off")),
        "{said:#?}"
    );
    app.execute("DROP EVENT TRIGGER calls_off").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_while_a_start_takes_a_moment_waits_for_it() {
    let app = TestApp::start().await;
    let url = schema_at(&app, "22").await;
    let held = hold_jobs(&app).await;
    let key = app.acme.key.clone().unwrap();
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("BOOTSTRAP_API_KEY", key.as_str()),
    ];
    let mut process = Process::serve(&app, &variables);
    until_waiting(&app, true).await;
    let base = format!("http://{}", process.listens().await);
    let caller = app.acme.at(&base);
    let attempt = AttemptId(Uuid::now_v7());
    let address = app
        .callback_keys
        .callback_url(&base.parse().unwrap(), attempt);
    let callback = async { Answer::to(app.http.post(address).body(success("G-1", "words"))).await };
    let ends = async {
        assert_eq!(caller.with_key(None).get("/livez").await.status, 200);
        held.close().await.unwrap();
    };
    let (listed, taken, ()) = tokio::join!(caller.get("/v1/transcriptions"), callback, ends);
    listed.expect(200);
    // Its attempt was looked for.
    let problem = taken.problem(503, "database-unavailable");
    assert_eq!(
        problem["detail"],
        "The attempt is not known here yet. Come again."
    );
    process.terminate();
    process.log().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_ends_with_the_process_that_applies_it() {
    let app = TestApp::start().await;
    let url = schema_at(&app, "22").await;
    // An index that takes longer than anybody here waits.
    app.execute(
        "CREATE FUNCTION takes_long() RETURNS event_trigger LANGUAGE plpgsql
         AS $$ BEGIN PERFORM pg_sleep(600); END $$",
    )
    .await;
    app.execute(
        "CREATE EVENT TRIGGER takes_long ON ddl_command_start WHEN TAG IN ('CREATE INDEX')
         EXECUTE FUNCTION takes_long()",
    )
    .await;
    let works = "pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    let variables = [("DATABASE_URL", url.as_str())];
    let mut migrating = spawn_with(&app, &["migrate", "--to", "23"], &variables);
    eventually("index that is made", async || {
        (app.rows(works).await > 0).then_some(())
    })
    .await;
    migrating.kill().await.unwrap();
    eventually("end of what nobody waits for", async || {
        (app.rows(works).await == 0).then_some(())
    })
    .await;
    app.execute("DROP EVENT TRIGGER takes_long").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_does_not_wait_for_good_where_the_host_of_the_database_is_lost_in_its_middle() {
    let app = TestApp::start().await;
    let mut url: Url = schema_at(&app, "60").await.parse().unwrap();
    let server = (url.host_str().unwrap(), url.port().unwrap());
    let server = tokio::net::lookup_host(server).await.unwrap().collect();
    let relay = Relay::start(server);
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(relay.address().port())).unwrap();

    // Others migrate, and it may take them hours.
    let mut others = PgConnection::connect(app.database_url()).await.unwrap();
    others.lock().await.unwrap();
    let directory = SpoolDirectory::new();
    let database = ("DATABASE_URL", url.as_str());
    let spool = ("CALLBACK_SPOOL_DIR", directory.setting());
    let without = Process::serve(&app, &[database]);
    let mut with = Process::serve(&app, &[database, spool]);
    let waiting = "pg_locks WHERE locktype = 'advisory' AND NOT granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("two who wait for the migrations", async || {
        (app.rows(waiting).await == 2).then_some(())
    })
    .await;
    let base = format!("http://{}", with.listens().await);
    let anonymous = app.acme.at(&base).with_key(None);
    relay.strand().await;
    sqlx::raw_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'SELECT pg_advisory_lock%'",
    )
    .execute(&mut others)
    .await
    .unwrap();

    let said = without.failure().await;
    let why = "the server does not know of them any more";
    assert!(said.iter().any(|line| line.contains(why)), "{said:#?}");
    // The other one can keep callbacks, and comes back to it.
    others.unlock().await.unwrap();
    eventually("readiness for the API", async || {
        (anonymous.get("/readyz?for=api").await.status == 200).then_some(())
    })
    .await;
    with.terminate();
    with.log().await;
    others.close().await.unwrap();
    app.finish().await;
}
