//! A database to which no connection can be opened: the log says why, once a while.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::support::{Answer, TestApp, process::Process};

const NONE: &str = "No connection to the database can be opened";

fn count(log: &[String], text: &str) -> usize {
    log.iter().filter(|line| line.contains(text)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_connections_are_refused_the_log_says_so_and_blames_no_setting() {
    let app = TestApp::builder().with_database_relay().start().await;
    let mut process = Process::serve(&app, &[]);
    let base = format!("http://{}", process.address().await);
    let caller = app.acme.at(&base);
    let body = json!({ "audio_url": "https://audio.example/spoken.mp3" });
    caller.transcribe(&body).await.expect(202);

    app.database_relay().cut().await;
    let refuse = |answer: Answer| {
        answer.problem(503, "database-unavailable");
        assert!(!answer.text().contains("refused"), "{}", answer.text());
    };
    refuse(caller.transcribe(&body).await);
    // A connection that was there is found broken at once. Only when none of them is left is one to be opened, and waited for.
    let mut took = Duration::ZERO;
    while took < Duration::from_secs(2) {
        let asked = Instant::now();
        refuse(caller.get("/v1/transcriptions").await);
        took = asked.elapsed();
    }
    // Others have waited for long by now.
    app.database_relay().mend();
    caller.transcribe(&body).await.expect(202);

    process.terminate();
    let log = process.log().await;
    let told = log
        .iter()
        .filter(|line| line.contains(NONE) && line.contains("Connection refused"));
    assert_eq!(told.count(), 1, "{log:#?}");
    let answered = log.iter().filter(|line| {
        line.contains("The database is not available") && line.contains("Connection refused")
    });
    assert!(answered.count() >= 1, "{log:#?}");
    assert_eq!(count(&log, "pool timed out"), 0, "{log:#?}");
    assert_eq!(count(&log, "DATABASE_POOL_SIZE"), 0, "{log:#?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_each_connection_ends_while_it_is_set_up_that_is_a_line_once_a_while() {
    let app = TestApp::start().await;
    let role = format!("ended_{}", Uuid::new_v4().simple());
    app.execute(&format!(
        "CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'ended'"
    ))
    .await;
    // As a pooler ends it whose server is away, and not before it has let the gateway in.
    app.execute("CREATE SCHEMA away").await;
    app.execute(
        "CREATE FUNCTION away.current_setting(text, boolean) RETURNS text LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'server login has been failing' USING ERRCODE = '08P01'; END $$",
    )
    .await;
    let mut url: Url = app.database_url().parse().unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("ended")).unwrap();
    let mut process = Process::serve(&app, &[("DATABASE_URL", url.as_str())]);
    let base = format!("http://{}", process.address().await);
    let caller = app.acme.at(&base);

    app.execute(&format!(
        "ALTER ROLE {role} SET search_path = away, pg_catalog, public"
    ))
    .await;
    app.execute(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
    ))
    .await;
    for _ in 0..2 {
        let refused = caller.get("/v1/transcriptions").await;
        refused.problem(503, "database-unavailable");
    }
    app.execute(&format!("ALTER ROLE {role} RESET search_path"))
        .await;

    process.terminate();
    let log = process.log().await;
    assert_eq!(count(&log, NONE), 1, "{log:#?}");
    assert_eq!(count(&log, "after_connect"), 0, "{log:#?}");
    let reason = "no connection can be opened: error returned from database: server login has been";
    assert!(count(&log, reason) >= 1, "{log:#?}");
    app.execute(&format!("DROP ROLE {role}")).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_probes_come_while_the_database_is_away_each_is_answered_in_two_seconds() {
    let app = TestApp::builder().with_database_relay().start().await;
    app.database_relay().cut().await;
    let anonymous = app.acme.with_key(None);
    let begin = std::time::Instant::now();
    let probes = (0..8).map(|_| {
        let probe = anonymous.request(Method::GET, "/readyz?for=api");
        tokio::spawn(Answer::to(probe))
    });
    for probe in probes.collect::<Vec<_>>() {
        assert_eq!(probe.await.unwrap().status, 503);
    }
    // Half of the time that two of them take one after another.
    let took = begin.elapsed();
    assert!(took.as_secs_f64() < 3.5, "{took:?}");
    app.database_relay().mend();
    app.finish().await;
}
