//! A batch that is sent twice, or whose making breaks off, is made once and whole.

use std::collections::HashSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    batches::batch_of,
    support::{Answer, Caller, TestApp, builder::DRAIN, eventually, process::Process},
};

/// Two requests, and one between them that is refused.
fn body() -> Value {
    let mut body = batch_of(["a.mp3", "b.mp3", "c.mp3"].map(str::to_owned));
    body["requests"][1]["diarisation"] = json!(true);
    body
}

async fn send_once(caller: &Caller, key: &str, body: &Value) -> Answer {
    let request = caller
        .request(Method::POST, "/v1/batches")
        .header("Idempotency-Key", key);
    Answer::to(request.json(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_batch_gives_the_same_outcomes() {
    let app = TestApp::start().await;
    let first = send_once(&app.acme, "monday", &body()).await;
    let created = first.expect(202);
    for outcome in [0, 2] {
        let id = &created["outcomes"][outcome]["transcription_id"];
        app.acme.wait_until_done(id.as_str().unwrap()).await;
    }
    // Another order of fields, other spacing, and what is the default all the same.
    let text = r#"{ "all_or_nothing" : false, "requests": [
        {"audio_url":"https://audio.example/a.mp3"},
        {"diarisation":true, "audio_url":"https://audio.example/b.mp3"},
        {"audio_url":"https://audio.example/c.mp3"}] }"#;
    let request = app
        .acme
        .raw("/v1/batches", "application/json", text)
        .header("Idempotency-Key", "monday");
    let second = Answer::to(request).await;
    assert_eq!(second.expect(202), created);
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(app.upstream.count("creates_received").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_batch_is_for_nothing_else() {
    let app = TestApp::start().await;
    let created = send_once(&app.acme, "monday", &body()).await.expect(202);
    let mut fewer = body();
    fewer["requests"].as_array_mut().unwrap().pop();
    let mut strict = body();
    strict["all_or_nothing"] = json!(true);
    for other in [fewer, strict, batch_of(["a.mp3".to_owned()])] {
        let answer = send_once(&app.acme, "monday", &other).await;
        answer.problem(422, "idempotency-key-reused");
    }
    let single = json!({ "audio_url": "https://audio.example/a.mp3" });
    let answer = app.acme.transcribe_once("monday", &single).await;
    answer.problem(422, "idempotency-key-reused");
    app.acme
        .transcribe_once("tuesday", &single)
        .await
        .expect(202);
    let answer = send_once(&app.acme, "tuesday", &body()).await;
    answer.problem(422, "idempotency-key-reused");
    // Another tenant's key of the same name is another key.
    let theirs = send_once(&app.globex, "monday", &body()).await.expect(202);
    assert_ne!(theirs["id"], created["id"]);
    assert_eq!((app.rows("batches").await, app.rows("jobs").await), (2, 5));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_at_once_with_one_key_make_one() {
    let app = TestApp::builder().replicas(2).start().await;
    let callers = [0, 1].map(|replica: usize| app.acme.at(&app.replicas[replica].base));
    let body = batch_of((0..50).map(|number| format!("{number}.mp3")));
    let sending = (0..12).map(|number| send_once(&callers[number % 2], "monday", &body));
    let mut ids = HashSet::new();
    let mut made = 0;
    for answer in join_all(sending).await {
        if answer.status == 409 {
            answer.problem(409, "idempotency-key-in-progress");
            continue;
        }
        ids.insert(answer.expect(202)["id"].as_str().unwrap().to_owned());
        made += u32::from(answer.header("idempotency-replayed").is_none());
    }
    assert_eq!((ids.len(), made), (1, 1));
    assert_eq!((app.rows("batches").await, app.rows("jobs").await), (1, 50));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_at_its_end_makes_nothing_and_gives_its_key_back() {
    let app = TestApp::start().await;
    app.execute(
        "ALTER TABLE idempotency_keys ADD CONSTRAINT a_mistake_of_ours CHECK (batch_id IS NULL)",
    )
    .await;
    let failed = send_once(&app.acme, "monday", &body()).await;
    failed.problem(500, "internal");
    for table in ["batches", "jobs", "events", "idempotency_keys"] {
        assert_eq!(app.rows(table).await, 0, "{table}");
    }
    app.execute("ALTER TABLE idempotency_keys DROP CONSTRAINT a_mistake_of_ours")
        .await;
    let second = send_once(&app.acme, "monday", &body()).await;
    let created = second.expect(202);
    assert_eq!(second.header("idempotency-replayed"), None);
    let third = send_once(&app.acme, "monday", &body()).await;
    assert_eq!(third.expect(202), created);
    assert_eq!(third.header("idempotency-replayed"), Some("true"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_again_once_the_database_is_back() {
    let app = TestApp::builder().with_database_relay().start().await;
    app.pause_dispatch().await;
    let created = send_once(&app.acme, "monday", &body()).await.expect(202);
    app.database_relay().cut().await;
    let away = send_once(&app.acme, "monday", &body()).await;
    away.problem(503, "database-unavailable");
    app.database_relay().mend();
    let again = eventually("answer", async || {
        let answer = send_once(&app.acme, "monday", &body()).await;
        (answer.status != 503).then_some(answer)
    })
    .await;
    assert_eq!(again.expect(202), created);
    assert_eq!(app.rows("jobs").await, 2);
    app.resume_dispatch().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_in_the_middle_of_a_batch_leaves_nothing_of_it() {
    let app = TestApp::start().await;
    let mut process = Process::serve(&app, &[]);
    let doomed = app.acme.at(&format!("http://{}", process.address().await));
    // Jobs are in, and their events have to wait.
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE events IN EXCLUSIVE MODE")
        .execute(&mut *tx)
        .await
        .unwrap();
    let sending = tokio::spawn({
        let request = doomed
            .request(Method::POST, "/v1/batches")
            .header("Idempotency-Key", "monday")
            .json(&body());
        async move { request.send().await.is_err() }
    });
    // Workers may wait for the same table, so it is the batch that is looked for.
    eventually("batch whose events wait", async || {
        let waiting = app
            .rows(
                "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                 AND query LIKE '%INSERT INTO events%'",
            )
            .await;
        (waiting > 0).then_some(())
    })
    .await;
    drop(process);
    assert!(sending.await.unwrap(), "the caller got an answer");
    tx.rollback().await.unwrap();
    eventually("end of the broken transaction", async || {
        let open = app
            .rows("pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL")
            .await;
        (open == 0).then_some(())
    })
    .await;
    for table in ["batches", "jobs", "events"] {
        assert_eq!(app.rows(table).await, 0, "{table}");
    }
    let early = send_once(&app.acme, "monday", &body()).await;
    early.problem(409, "idempotency-key-in-progress");
    app.set_clock_ahead("2 minutes").await;
    let again = send_once(&app.acme, "monday", &body()).await;
    assert_eq!(again.expect(202)["accepted"], 2);
    assert_eq!(again.header("idempotency-replayed"), None);
    assert!(app.replicas[0].stop(DRAIN).await);
    app.stop().await;
}
