//! The commands of operators, as they type them, beside a gateway that runs.

use std::process::Stdio;

use gladia_gateway::{db, domain::access::Scope};
use serde_json::json;
use sqlx::{Connection, PgConnection, migrate::Migrate};

use crate::support::{
    TestApp,
    callbacks::processing,
    command::{run, run_into, run_with},
    eventually,
    rows::success,
};

const CREATE: [&str; 8] = [
    "keys", "create", "--tenant", "initech", "--name", "ci", "--scope", "read",
];

const KEYS_OF_INITECH: &str =
    "api_keys k JOIN tenants t ON t.id = k.tenant_id WHERE t.name = 'initech'";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_from_its_creation_to_its_revocation() {
    let app = TestApp::start().await;
    let (created, key) = run(&app, &CREATE).await;
    assert!(created);
    let caller = app
        .caller("unused", Scope::Read)
        .await
        .with_key(Some(key.trim()));
    caller.get("/v1/transcriptions").await.expect(200);
    caller
        .transcribe(&json!({ "audio_url": "https://audio.example/a.mp3" }))
        .await
        .problem(403, "forbidden");

    let (_, table) = run(&app, &["keys", "list"]).await;
    let row = table.lines().find(|line| line.contains("initech")).unwrap();
    assert!(
        row.contains("read") && !table.contains(key.trim()),
        "{table}"
    );
    let id = row.split_whitespace().next().unwrap();
    assert!(run(&app, &["keys", "revoke", id]).await.0);
    caller
        .get("/v1/transcriptions")
        .await
        .problem(401, "unauthorized");
    assert!(!run(&app, &["keys", "revoke", id]).await.0);
    app.finish().await;
}

/// A pipe whose reader has left.
fn left() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_is_made_that_nobody_could_read() {
    let app = TestApp::start().await;
    let (code, _, told) = run_into(&app, &CREATE, Stdio::null(), Stdio::piped()).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("No key was made"), "{told}");
    assert_eq!(app.rows(KEYS_OF_INITECH).await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_could_not_be_printed_is_told_with_its_id() {
    let app = TestApp::start().await;
    let (code, _, told) = run_into(&app, &CREATE, left(), Stdio::piped()).await;
    assert_eq!(code, Some(1), "{told}");
    let id: uuid::Uuid = app
        .scalar(&format!("SELECT k.id FROM {KEYS_OF_INITECH}"))
        .await;
    let told = told.lines().last().unwrap();
    assert!(told.contains(&format!("`keys revoke {id}`")), "{told}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_printed_also_where_nobody_reads_what_is_said_of_it() {
    let app = TestApp::start().await;
    let (code, key, _) = run_into(&app, &CREATE, Stdio::piped(), left()).await;
    assert_eq!(code, Some(0));
    let caller = app.caller("unused", Scope::Read).await;
    let caller = caller.with_key(Some(key.trim()));
    caller.get("/v1/transcriptions").await.expect(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_set_holds_from_the_next_job_on() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 1).start().await;
    for number in 0..3 {
        app.acme.start(&format!("endless-{number}.mp3")).await;
    }
    app.upstream.wait_for("creates_accepted", 1).await;
    let (_, shown) = run(&app, &["limits", "show"]).await;
    assert!(shown.contains("max in flight  1"), "{shown}");
    assert!(run(&app, &["limits", "set", "max-in-flight", "3"]).await.0);
    app.upstream.wait_for("creates_accepted", 3).await;
    for refused in ["10001", "-1", "many"] {
        assert!(
            !run(&app, &["limits", "set", "max-in-flight", refused])
                .await
                .0
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_cap_of_zero_nothing_is_sent_until_there_is_another_one() {
    let app = TestApp::start().await;
    let cap = async |jobs: &str| run(&app, &["limits", "set", "max-in-flight", jobs]).await;
    let (is_set, shown) = cap("0").await;
    assert!(is_set && shown.contains("max in flight  0"), "{shown}");
    let ids = [app.acme.start("a.mp3").await, app.acme.start("b.mp3").await];
    for id in &ids {
        assert_eq!(app.acme.job(id).await["status"], "queued");
    }
    assert_eq!(app.rows("attempts").await, 0);
    assert!(cap("1").await.0);
    for id in &ids {
        app.acme.wait_until_done(id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_callback_is_listed_and_carried_out_after_a_fix() {
    let app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let attempt = app.attempt(&id).await;
    app.execute("ALTER TABLE jobs ADD CONSTRAINT a_mistake_of_ours CHECK (status <> 'done')")
        .await;
    let body = success(attempt.gladia_id.as_deref().unwrap(), "words");
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);

    let (_, table) = run(&app, &["callbacks", "list"]).await;
    let row = table.lines().find(|line| line.contains(&id)).unwrap();
    let callback = row.split_whitespace().next().unwrap();
    let (_, _, hint) = run_with(&app, &["callbacks", "replay"], &[]).await;
    assert!(hint.contains("--all"), "{hint}");
    let (mended, told) = run(&app, &["callbacks", "replay", callback]).await;
    assert!(!mended && told.contains("still quarantined"), "{told}");

    app.execute("ALTER TABLE jobs DROP CONSTRAINT a_mistake_of_ours")
        .await;
    let (mended, told) = run(&app, &["callbacks", "replay", "--all"]).await;
    assert!(mended && told.contains("completed"), "{told}");
    let done = app.acme.wait_until_done(&id).await;
    assert_eq!(done["result"]["transcription"]["full_transcript"], "words");
    let (mended, _) = run(&app, &["callbacks", "replay", callback]).await;
    assert!(!mended, "it is quarantined no longer");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_cannot_be_replayed_keeps_none_behind_it_from_that() {
    let app = TestApp::start().await;
    app.execute("ALTER TABLE jobs ADD CONSTRAINT a_mistake_of_ours CHECK (status <> 'done')")
        .await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let (id, attempt, gladia_id) = processing(&app).await;
        let answer = app.call_back(attempt.id, success(&gladia_id, "words"));
        assert_eq!(answer.await.status, 200);
        ids.push(id);
    }
    let [erased, damaged, whole] = &ids[..] else {
        unreachable!()
    };
    app.execute("ALTER TABLE jobs DROP CONSTRAINT a_mistake_of_ours")
        .await;
    app.acme.delete(erased).await.expect(204);
    app.execute(&format!(
        "UPDATE callbacks SET body = set_byte(body, 0, 0)
         WHERE attempt_id = (SELECT id FROM attempts WHERE job_id = '{damaged}')"
    ))
    .await;

    let (_, table) = run(&app, &["callbacks", "list"]).await;
    assert!(
        !table.contains(erased) && table.contains(damaged),
        "{table}"
    );
    let admin = app.caller("operators", Scope::Admin).await;
    let listed = admin.get("/v1/admin/callbacks").await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    let metrics = app.acme.with_key(None).get("/metrics").await.text();
    assert!(
        metrics.contains("\ngateway_callbacks_quarantined 2\n"),
        "{metrics}"
    );

    let (mended, told) = run(&app, &["callbacks", "replay", "--all"]).await;
    assert!(!mended && told.contains("cannot be unpacked"), "{told}");
    assert!(told.contains("completed"), "{told}");
    app.acme.wait_until_done(whole).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_attempts_in_flight_need_are_shown_with_their_number() {
    let app = TestApp::start().await;
    let (_, table) = run(&app, &["callbacks", "keys"]).await;
    assert_eq!(table.lines().count(), 1, "{table}");
    for number in 0..2 {
        let id = app.acme.start(&format!("endless-{number}.mp3")).await;
        app.acme.wait_until(&id, "processing").await;
    }
    let (shown, table) = run(&app, &["callbacks", "keys"]).await;
    let words: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert!(shown && words[..2] == ["test", "2"], "{table}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_stop_where_they_are_told_to_and_go_on_from_there() {
    let app = TestApp::start().await;
    app.execute("CREATE SCHEMA empty").await;
    let url = format!("{}&options=-csearch_path%3Dempty", app.database_url());
    let migrate = async |arguments: &[&str]| {
        run_with(
            &app,
            &[&["migrate"], arguments].concat(),
            &[("DATABASE_URL", &url)],
        )
        .await
    };
    let (stopped, said, _) = migrate(&["--to", "26"]).await;
    assert!(stopped && said.ends_with("at version 26\n"), "{said}");
    app.execute(
        "CREATE INDEX CONCURRENTLY events_tenant ON empty.events (tenant_id, number) WHERE number > 0",
    )
    .await;
    let (refused, _, error) = migrate(&["--to", "9999"]).await;
    assert!(
        !refused && error.contains("there is no migration 9999"),
        "{error}"
    );
    let (went_on, said, _) = migrate(&[]).await;
    assert!(went_on && said.starts_with("Applied"), "{said}");
    let (_, said, _) = migrate(&[]).await;
    assert!(said.starts_with("Nothing to apply"), "{said}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_meets_work_under_way_gives_way_and_is_tried_again() {
    let app = TestApp::start().await;
    app.execute("CREATE SCHEMA empty").await;
    let url = format!("{}&options=-csearch_path%3Dempty", app.database_url());
    let before = ["migrate", "--to", "45"];
    let (stopped, said, _) = run_with(&app, &before, &[("DATABASE_URL", &url)]).await;
    assert!(stopped, "{said}");
    let mut somebody = app.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM empty.deliveries")
        .execute(&mut *somebody)
        .await
        .unwrap();
    let options = db::parse_url(&url).unwrap();
    let migrating = tokio::spawn(async move { db::migrate(&options).await });
    for is_waiting in [true, false] {
        eventually("change of who waits", async || {
            let waiting: bool = app
                .scalar(
                    "SELECT EXISTS (SELECT FROM pg_locks
                                    WHERE relation = 'empty.deliveries'::regclass AND NOT granted)",
                )
                .await;
            (waiting == is_waiting).then_some(())
        })
        .await;
    }
    assert!(!migrating.is_finished());
    somebody.rollback().await.unwrap();
    migrating.await.unwrap().unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_migrations_take_long_does_without_the_connection_it_has_opened_meanwhile() {
    let mut app = TestApp::start().await;
    let options = db::parse_url(app.database_url()).unwrap();
    let mut migrates = PgConnection::connect_with(&options).await.unwrap();
    migrates.lock().await.unwrap();
    let before: String = app.scalar("SELECT clock_timestamp()::text").await;
    let pool = app.pool.clone();
    let cuts = async move {
        // Nothing was asked of it but whether it can be used, and longer ago than an idle connection is trusted.
        eventually("connection that waits for the migrations", async || {
            let mut conn = pool.acquire().await.unwrap();
            let cut = sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND state = 'idle' AND query LIKE '%statement_timestamp()%'
                   AND state_change < clock_timestamp() - interval '1 s' AND backend_start > $1::text::timestamptz",
            )
            .bind(&before)
            .fetch_all(&mut *conn)
            .await
            .unwrap();
            (!cut.is_empty()).then_some(())
        })
        .await;
        migrates.unlock().await.unwrap();
    };
    tokio::join!(app.add_replica(&[]), cuts);
    let late = app.acme.at(&app.replicas[1].base);
    assert_eq!(late.with_key(None).get("/readyz").await.status, 200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_addresses_that_are_the_same_are_told_as_a_wrong_setting() {
    let app = TestApp::start().await;
    let values = app.values().iter();
    let mut settings: Vec<_> = values.map(|(name, value)| (&**name, &**value)).collect();
    settings.extend([
        ("LISTEN_ADDR", "127.0.0.1:1"),
        ("OPS_LISTEN_ADDR", "127.0.0.1:1"),
    ]);
    let (served, _, error) = run_with(&app, &["serve"], &settings).await;
    assert!(!served);
    let rule = "OPS_LISTEN_ADDR is the same address as LISTEN_ADDR, 127.0.0.1:1.";
    assert!(error.contains(rule), "{error}");
    app.finish().await;
}
