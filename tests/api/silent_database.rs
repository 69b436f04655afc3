//! A database that takes what it is sent, and says nothing: as behind a network path that is gone.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::{Postgres, Transaction};
use tokio::time::timeout;

use crate::support::{
    Answer, TestApp, database::until_statements_wait, eventually, receiver::Receiver,
};

/// Longer than any statement of a create may take, and than the wait for those before it.
const BOUND: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_does_not_hold_creates_for_ever() {
    // Room for creates beside every worker that waits for the same lock.
    let app = TestApp::builder()
        .with_database_relay()
        .set("DATABASE_POOL_SIZE", "16")
        .start()
        .await;
    let body = serde_json::json!({ "audio_url": "https://audio.example/spoken.mp3" });
    // Of this key it is known whose it is.
    app.acme.transcribe(&body).await.expect(202);
    // In the middle of its statement when the answers stop.
    let mut somebody = app.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE jobs")
        .execute(&mut *somebody)
        .await
        .unwrap();
    let creates = async { tokio::join!(app.acme.transcribe(&body), app.acme.transcribe(&body)) };
    let falls_silent = async {
        eventually("statement that waits", async || {
            let waiting =
                "pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%WITH asked AS%'";
            (app.rows(waiting).await > 0).then_some(())
        })
        .await;
        app.database_relay().hold_answers();
        somebody.rollback().await.unwrap();
    };
    let ((one, other), ()) = timeout(BOUND, async { tokio::join!(creates, falls_silent) })
        .await
        .expect("both are answered although the database is not there");
    for answer in [one, other] {
        answer.problem(503, "database-unavailable");
    }
    app.database_relay().release_answers();
    app.acme.transcribe(&body).await.expect(202);
    app.finish().await;
}

/// How many workers look at the database about every second.
const LOOKERS: i64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_where_the_host_of_the_database_is_lost_without_a_word() {
    // Room for what nobody answers any more, beside what goes on.
    let app = TestApp::builder()
        .with_database_relay()
        .set("DATABASE_POOL_SIZE", "32")
        .start()
        .await;
    let receiver = Receiver::start().await;
    let endpoint = app
        .add_endpoint(&app.acme, &receiver.url(), &["transcription.done"])
        .await;
    let audio = "https://audio.example/spoken.mp3";
    let first = app.acme.start(audio).await;
    app.acme.wait_until_done(&first).await;
    let listeners = "pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(app.rows(listeners).await, 1);

    // Every worker is in the middle of a statement, and hears nothing of it.
    let somebody = eventually("moment in which all tables are free", async || {
        let mut somebody = app.pool.begin().await.unwrap();
        let lock = "LOCK TABLE jobs, attempts, events, deliveries, upstream_deletions NOWAIT";
        let locked = sqlx::query(lock).execute(&mut *somebody).await;
        locked.is_ok().then_some(somebody)
    })
    .await;
    until_statements_wait(&app, LOOKERS).await;
    app.database_relay().strand().await;
    somebody.rollback().await.unwrap();

    let goes_on = async {
        let second = loop {
            let answer = app.acme.transcribe(&json!({ "audio_url": audio })).await;
            if answer.status == 202 {
                break answer.json()["id"].as_str().unwrap().to_owned();
            }
            answer.problem(503, "database-unavailable");
        };
        while app.acme.job(&second).await["status"] != "done" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        while app.deliveries_to(&endpoint).await.len() < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // The first one is still there for Postgres.
        while app.rows(listeners).await < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(BOUND, goes_on)
        .await
        .expect("a job goes all the way");
    app.finish().await;
}

/// Has the commits of claims wait until the transaction ends.
async fn hold_commits_of_claims(app: &TestApp) -> Transaction<'static, Postgres> {
    for statement in [
        "CREATE TABLE gate (open boolean)",
        "INSERT INTO gate VALUES (true)",
        "CREATE FUNCTION wait_at_the_gate() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM FROM gate FOR SHARE; RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER waits_at_the_gate AFTER INSERT ON attempts
         DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_the_gate()",
    ] {
        app.execute(statement).await;
    }
    let mut gate = app.pool.begin().await.unwrap();
    sqlx::query("UPDATE gate SET open = false")
        .execute(&mut *gate)
        .await
        .unwrap();
    gate
}

/// Until a commit waits whose transaction began so long ago.
async fn until_a_commit_waits(app: &TestApp, since: &str) {
    let waiting = format!(
        "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'COMMIT%'
                           AND xact_start <= clock_timestamp() - interval '{since}'"
    );
    eventually("commit that waits", async || {
        (app.rows(&waiting).await > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_commit_goes_unanswered_is_taken_back() {
    let app = TestApp::builder().with_database_relay().start().await;
    let gate = hold_commits_of_claims(&app).await;
    let id = app.acme.start("https://audio.example/spoken.mp3").await;
    until_a_commit_waits(&app, "0 seconds").await;
    app.database_relay().strand().await;
    gate.rollback().await.unwrap();

    // Not by the gateway, whose connections are lost as well.
    let status = format!("SELECT status FROM jobs WHERE id = '{id}'");
    let is_done = async {
        while app.scalar::<String>(&status).await != "done" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(BOUND, is_done).await.expect("the job is sent anew");
    let attempts = app.attempts(&id).await;
    assert_eq!(attempts[0].state, "not_sent");
    assert_eq!(attempts.len(), 2);
    assert_eq!(app.upstream.count("creates_received").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_takes_longer_than_the_send_window_is_not_sent() {
    let app = TestApp::builder()
        .set("SEND_WINDOW_SECONDS", 1)
        .start()
        .await;
    let gate = hold_commits_of_claims(&app).await;
    let id = app.acme.start("spoken.mp3").await;
    until_a_commit_waits(&app, "1 second").await;
    // The claim stands from now on, and what it was given to send is no longer to leave.
    gate.rollback().await.unwrap();
    app.acme.wait_until_done(&id).await;
    let attempts = app.attempts(&id).await;
    let states: Vec<_> = attempts.iter().map(|one| one.state.as_str()).collect();
    assert_eq!(states, ["not_sent", "done"]);
    assert_eq!(app.upstream.count("creates_received").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_reservation_went_unanswered_is_free_again() {
    let app = TestApp::builder()
        .with_database_relay()
        .set("DATABASE_POOL_SIZE", "16")
        .start()
        .await;
    let body = json!({ "requests": [{ "audio_url": "https://audio.example/spoken.mp3" }] });
    let send = async || {
        let batch = app.acme.request(Method::POST, "/v1/batches");
        Answer::to(batch.header("idempotency-key", "import").json(&body)).await
    };
    // Reserved, and the connection breaks off before that is known.
    for statement in [
        "CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW; END $$",
        "CREATE TRIGGER wait_for_test BEFORE INSERT ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION wait_for_test()",
    ] {
        app.execute(statement).await;
    }
    let mut somebody = app.pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(42)")
        .execute(&mut *somebody)
        .await
        .unwrap();
    let breaks_off = async {
        eventually("reservation that waits", async || {
            let waiting =
                "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                           AND query LIKE '%INSERT INTO idempotency_keys%'";
            (app.rows(waiting).await > 0).then_some(())
        })
        .await;
        app.database_relay().hold_answers();
        somebody.rollback().await.unwrap();
        eventually("reservation", async || {
            (app.rows("idempotency_keys").await == 1).then_some(())
        })
        .await;
        app.database_relay().strand().await;
        app.database_relay().release_answers();
    };
    let (answer, ()) = tokio::join!(send(), breaks_off);
    answer.problem(503, "database-unavailable");
    eventually("free key", async || {
        (app.rows("idempotency_keys").await == 0).then_some(())
    })
    .await;
    send().await.expect(202);
    app.finish().await;
}
