//! The second create, which Gladia's SDKs send by themselves.

use std::{net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Answer, BOUND, Caller, TestApp, database::until_statements_wait, eventually};

const SDK: &str = "SdkPython/2.2.1";

/// How long an SDK rests before it comes again.
const REST: Duration = Duration::from_millis(300);

fn job() -> Value {
    json!({ "audio_url": "https://audio.example/a.mp3", "custom_metadata": { "order": 7 } })
}

/// A create to the byte, on a connection of its own.
async fn send(address: SocketAddr, caller: &Caller, client: &str) -> TcpStream {
    let body = job().to_string();
    let head = format!(
        "POST /v2/pre-recorded HTTP/1.1\r\nhost: gateway\r\nx-gladia-key: {}\r\nx-gladia-version: {client}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        caller.key.as_ref().unwrap(),
        body.len(),
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
    stream
}

/// Reads one answer, and gives the id in it.
async fn read_id(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = async {
        while !answer.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "it ended");
        }
    };
    tokio::time::timeout(BOUND, reading)
        .await
        .expect("an answer");
    let text = String::from_utf8(answer).unwrap();
    assert!(text.starts_with("HTTP/1.1 201"), "{text}");
    let body: Value = serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    body["id"].as_str().unwrap().to_owned()
}

/// A create that is sent as a whole and answered.
async fn create(address: SocketAddr, caller: &Caller, client: &str) -> String {
    read_id(&mut send(address, caller, client).await).await
}

/// Keeps every job from being made until it is dropped: each has metadata.
async fn hold_jobs(app: &TestApp) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut held = app.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE job_metadata IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *held)
        .await
        .unwrap();
    held
}

/// Waits until it is noted whether the only create was answered.
async fn wait_until_noted(app: &TestApp, is_answered: bool) {
    eventually("word of the answer", async || {
        let noted: Option<bool> =
            sqlx::query_scalar("SELECT answered_at IS NOT NULL FROM idempotency_keys")
                .fetch_optional(&app.pool)
                .await
                .unwrap();
        (noted == Some(is_answered)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_create_again_is_a_new_job_once_it_was_answered() {
    let app = TestApp::builder().replicas(2).start().await;
    let mut ids = Vec::new();
    for number in 0..6 {
        // A client with a connection that it keeps, and one that takes a new one each time; on any replica.
        let caller = app.acme.at(&app.replicas[number % 2].base);
        ids.push(caller.v2_start(&job()).await);
        ids.push(create(app.replicas[number % 2].address, &app.acme, "").await);
    }
    for id in &ids {
        app.acme.wait_until_done(id).await;
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 12);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_create_at_the_same_time_is_one_job_whatever_replica_has_it() {
    let app = TestApp::builder().replicas(2).start().await;
    // Whoever is first waits for the row of its key, and everybody for whoever is first.
    let blocker = hold_jobs(&app).await;
    let creates = (0..4).map(|number| {
        let address = app.replicas[number % 2].address;
        create(address, &app.acme, SDK)
    });
    let release = async {
        eventually("create that holds the key", async || {
            (app.rows("idempotency_keys").await == 1).then_some(())
        })
        .await;
        // The others are there by now, or come after the answer by less than an SDK rests.
        tokio::time::sleep(3 * REST).await;
        blocker.rollback().await.unwrap();
    };
    let (ids, ()) = tokio::join!(join_all(creates), release);
    assert_eq!(app.rows("jobs").await, 1, "{ids:?}");
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    app.acme.wait_until_done(&ids[0]).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_connection_is_cut_before_the_answer_is_one_job_with_its_second() {
    let app = TestApp::start().await;
    for _ in 0..5 {
        let first = send(app.replicas[0].address, &app.acme, SDK).await;
        drop(first);
        tokio::time::sleep(REST).await;
        create(app.replicas[0].address, &app.acme, SDK).await;
        eventually("forgotten create", async || {
            sqlx::query("DELETE FROM idempotency_keys WHERE job_id IS NOT NULL")
                .execute(&app.pool)
                .await
                .unwrap();
            (app.rows("idempotency_keys").await == 0).then_some(())
        })
        .await;
    }
    assert_eq!(app.rows("jobs").await, 5);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_thrown_away_unread_is_given_again() {
    let app = TestApp::builder().replicas(2).start().await;
    let first = send(app.replicas[0].address, &app.acme, "").await;
    wait_until_noted(&app, true).await;
    // What has arrived was not read, so the connection ends in a reset.
    drop(first);
    wait_until_noted(&app, false).await;
    let made: String = app.scalar("SELECT id::text FROM jobs").await;
    let second = create(app.replicas[1].address, &app.acme, "").await;
    assert_eq!(second, made);
    assert_eq!(app.rows("jobs").await, 1);
    app.acme.wait_until_done(&made).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_behind_a_proxy_is_given_again_to_an_sdk() {
    let app = TestApp::start().await;
    // The proxy reads it, and its own client is gone: from here all is in order.
    let first = create(app.replicas[0].address, &app.acme, SDK).await;
    wait_until_noted(&app, true).await;
    tokio::time::sleep(REST).await;
    let second = create(app.replicas[0].address, &app.acme, SDK).await;
    assert_eq!(second, first);
    // A program that sends nothing again by itself means what it sends.
    let other = create(app.replicas[0].address, &app.acme, "").await;
    assert_ne!(other, first);
    assert_eq!(app.rows("jobs").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sdk_that_went_on_with_its_answer_makes_a_new_job() {
    let app = TestApp::start().await;
    let mut line = send(app.replicas[0].address, &app.acme, SDK).await;
    let first = read_id(&mut line).await;
    line.write_all(b"GET /v2/nothing HTTP/1.1\r\nhost: gateway\r\n\r\n")
        .await
        .unwrap();
    eventually("word that the answer arrived", async || {
        let closed: Option<bool> =
            sqlx::query_scalar("SELECT reserved_until = answered_at FROM idempotency_keys")
                .fetch_optional(&app.pool)
                .await
                .unwrap()
                .flatten();
        closed.filter(|closed| *closed)
    })
    .await;
    tokio::time::sleep(REST).await;
    let second = create(app.replicas[0].address, &app.acme, SDK).await;
    assert_ne!(second, first);
    assert_eq!(app.rows("jobs").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_was_answered_5xx_is_one_job_with_its_second() {
    let app = TestApp::builder().with_database_relay().start().await;
    // Whose the key is, is known from then on.
    app.acme.v2_get("/v2/pre-recorded").await.expect(200);
    app.database_relay().cut().await;
    let refused = app.acme.v2_create(&job()).await.envelope(503);
    let told = refused["message"].as_str().unwrap();
    // Not of a header that is not read here.
    assert!(!told.contains("Idempotency-Key"), "{told}");
    assert!(told.contains("V2_CREATE_REPEAT_SECONDS"), "{told}");
    app.database_relay().mend();
    let id = eventually("answer once the database is back", async || {
        let answer = app.acme.v2_create(&job()).await;
        (answer.status == 201).then(|| answer.json()["id"].as_str().unwrap().to_owned())
    })
    .await;
    assert_eq!(app.rows("jobs").await, 1);
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_dies_after_the_commit_leaves_its_job_to_the_second() {
    let mut app = TestApp::builder().start().await;
    let first = app.acme.v2_start(&job()).await;
    wait_until_noted(&app, true).await;
    // As a replica leaves it that died between the commit and the answer.
    sqlx::query("UPDATE idempotency_keys SET answered_at = NULL, reserved_until = gateway_now() + interval '30 s'")
        .execute(&app.pool)
        .await
        .unwrap();
    app.add_replica(&[]).await;
    let second = app.acme.at(&app.replicas[1].base).v2_start(&job()).await;
    assert_eq!(second, first);
    // Once it counts no more, it is a create like any other.
    sqlx::query("UPDATE idempotency_keys SET answered_at = NULL, reserved_until = gateway_now()")
        .execute(&app.pool)
        .await
        .unwrap();
    let third = app.acme.v2_start(&job()).await;
    assert_ne!(third, first);
    app.acme.wait_until_done(&third).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_is_overtaken_is_answered_as_the_one_that_overtook_it() {
    let app = TestApp::builder().replicas(2).start().await;
    let blocker = hold_jobs(&app).await;
    let slow = create(app.replicas[0].address, &app.acme, SDK);
    let overtakes = async {
        until_statements_wait(&app, 1).await;
        let holder = "SELECT reserved_by::text FROM idempotency_keys";
        let first: String = app.scalar(holder).await;
        // Longer than a create may take.
        app.set_clock_ahead("11 seconds").await;
        let other = create(app.replicas[1].address, &app.acme, SDK);
        let release = async {
            eventually("another holder of the key", async || {
                (app.scalar::<String>(holder).await != first).then_some(())
            })
            .await;
            blocker.rollback().await.unwrap();
        };
        tokio::join!(other, release).0
    };
    let (slow, other) = tokio::join!(slow, overtakes);
    assert_eq!(slow, other);
    assert_eq!(app.rows("jobs").await, 1);
    app.acme.wait_until_done(&other).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_another_body_or_another_program_is_another_create() {
    // Each of the creates holds a connection while it is kept from its end.
    let app = TestApp::builder()
        .set("DATABASE_POOL_SIZE", 12)
        .start()
        .await;
    let blocker = hold_jobs(&app).await;
    let address = app.replicas[0].address;
    let colleague = app
        .caller("acme", gladia_gateway::domain::access::Scope::Write)
        .await;
    let mut other = job();
    other["custom_metadata"]["order"] = json!(8);
    let creates = async {
        let (one, two, three, four) = tokio::join!(
            create(address, &app.acme, SDK),
            create(address, &app.acme, "cli/1.0"),
            create(address, &colleague, SDK),
            async { app.acme.v2_start(&other).await },
        );
        [one, two, three, four]
    };
    let release = async {
        eventually("four reservations", async || {
            (app.rows("idempotency_keys").await == 4).then_some(())
        })
        .await;
        blocker.rollback().await.unwrap();
    };
    let (mut ids, ()) = tokio::join!(creates, release);
    ids.sort();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_switched_off() {
    let app = TestApp::builder()
        .set("V2_CREATE_REPEAT_SECONDS", 0)
        .start()
        .await;
    let creates = (0..3).map(|_| create(app.replicas[0].address, &app.acme, SDK));
    let mut ids = join_all(creates).await;
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert_eq!(app.rows("idempotency_keys").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_it_stays() {
    let app = TestApp::start().await;
    let id = app.acme.v2_start(&job()).await;
    app.acme.wait_until_done(&id).await;
    eventually("forgotten create", async || {
        (app.rows("idempotency_keys").await == 0).then_some(())
    })
    .await;
    let answer: Answer = app.acme.v2_create(&job()).await;
    assert_ne!(answer.expect(201)["id"], id.as_str());
    app.stop().await;
}
