//! A request sent twice makes one job.

use std::{collections::HashSet, time::Duration};

use futures_util::future::join_all;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{
    Answer, Caller, TestApp, audio, eventually,
    trickle::{Trickle, trickle},
};

fn job() -> Value {
    json!({ "audio_url": "https://audio.example/a.mp3", "diarization": true })
}

async fn upload_once(caller: &Caller, key: &str, file: Vec<u8>, options: Option<&Value>) -> Answer {
    let request = caller
        .upload_request(file, "a.wav", options)
        .header("Idempotency-Key", key);
    Answer::to(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gives_the_same_job_and_one_create() {
    let app = TestApp::start().await;
    let first = app.acme.transcribe_once("order-7", &job()).await;
    assert_eq!(first.header("idempotency-replayed"), None);
    let id = first.expect(202)["id"].as_str().unwrap().to_owned();
    app.acme.wait_until_done(&id).await;
    // Other spacing and another order of fields are the same request.
    let text = r#"{ "diarization" : true,
        "audio_url":"https://audio.example/a.mp3" }"#;
    let request = app
        .acme
        .request(reqwest::Method::POST, "/v1/transcriptions")
        .header("Idempotency-Key", "order-7")
        .header("content-type", "application/json")
        .body(text);
    let second = Answer::to(request).await;
    assert_eq!(second.expect(202)["id"], id.as_str());
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(app.upstream.count("creates_received").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_request_of_one_tenant() {
    let app = TestApp::start().await;
    let first = app
        .acme
        .transcribe_once("order-7", &job())
        .await
        .expect(202);
    let mut other = job();
    other["diarization"] = json!(false);
    let answer = app.acme.transcribe_once("order-7", &other).await;
    answer.problem(422, "idempotency-key-reused");
    let mut other = job();
    other["audio_url"] = json!("https://audio.example/b.mp3");
    let answer = app.acme.transcribe_once("order-7", &other).await;
    answer.problem(422, "idempotency-key-reused");
    let answer = upload_once(&app.acme, "order-7", audio::short(), None).await;
    answer.problem(422, "idempotency-key-reused");
    // Another tenant's key of the same name is another key.
    let theirs = app.globex.transcribe_once("order-7", &other).await;
    assert_ne!(theirs.expect(202)["id"], first["id"]);
    assert_eq!(theirs.header("idempotency-replayed"), None);
    assert_eq!(app.rows("jobs").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_requests_at_once_with_one_key_make_one_job() {
    let app = TestApp::builder().replicas(2).start().await;
    let (one, two) = (
        app.acme.at(&app.replicas[0].base),
        app.acme.at(&app.replicas[1].base),
    );
    let body = job();
    let answers = join_all((0..20).map(|number| {
        let caller = if number % 2 == 0 { &one } else { &two };
        caller.transcribe_once("order-7", &body)
    }))
    .await;
    let mut ids = HashSet::new();
    let mut made = 0;
    for answer in &answers {
        if answer.status == 409 {
            answer.problem(409, "idempotency-key-in-progress");
            let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=5).contains(&seconds));
            continue;
        }
        ids.insert(answer.expect(202)["id"].as_str().unwrap().to_owned());
        made += u32::from(answer.header("idempotency-replayed").is_none());
    }
    assert_eq!((ids.len(), made), (1, 1));
    assert_eq!(app.rows("jobs").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_upload_is_hashed_and_not_sent_on() {
    let app = TestApp::start().await;
    let options = json!({ "diarization": true });
    let first = upload_once(&app.acme, "file-1", audio::short(), Some(&options)).await;
    let id = first.expect(202)["id"].clone();
    let again = upload_once(&app.acme, "file-1", audio::short(), Some(&options)).await;
    assert_eq!(again.expect(202)["id"], id);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let answer = upload_once(
        &app.acme,
        "file-1",
        audio::wav(1.1, 8_000, 1),
        Some(&options),
    )
    .await;
    answer.problem(422, "idempotency-key-reused");
    let answer = upload_once(&app.acme, "file-1", audio::short(), None).await;
    answer.problem(422, "idempotency-key-reused");
    assert_eq!(app.upstream.count("uploads").await, 1);
    assert_eq!((app.rows("uploads").await, app.rows("jobs").await), (1, 1));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_hashed_where_a_key_will_be_compared_by_it_and_else_not() {
    let app = TestApp::start().await;
    let hashed = "SELECT count(*) FROM uploads WHERE sha256 IS NOT NULL";
    let request = app.acme.upload_request(audio::short(), "a.wav", None);
    Answer::to(request).await.expect(202);
    assert_eq!(app.rows("uploads").await, 1);
    assert_eq!(app.scalar::<i64>(hashed).await, 0);
    let once = upload_once(&app.acme, "file-1", audio::short(), None).await;
    once.expect(202);
    assert_eq!(app.scalar::<i64>(hashed).await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_given_back_after_an_upload_that_failed() {
    let app = TestApp::start().await;
    let fault = json!({ "operation": "upload", "kind": "drop_before", "times": 1 });
    app.upstream.fault(&fault).await;
    let failed = upload_once(&app.acme, "file-1", audio::short(), None).await;
    failed.problem(503, "upstream-unavailable");
    let id = eventually("key that is free again", async || {
        let answer = upload_once(&app.acme, "file-1", audio::short(), None).await;
        (answer.status != 409).then(|| answer.expect(202)["id"].clone())
    })
    .await;
    app.acme.wait_until_done(id.as_str().unwrap()).await;
    // The same after a request that breaks a rule.
    let wrong = json!({ "audio_url": "https://audio.example/a.mp3", "diarisation": true });
    let refused = app.acme.transcribe_once("order-7", &wrong).await;
    refused.problem(422, "invalid-request");
    app.acme
        .transcribe_once("order-7", &job())
        .await
        .expect(202);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_whose_holder_died_is_taken_over_once_it_expires() {
    let app = TestApp::start().await;
    app.execute(&format!(
        "INSERT INTO idempotency_keys (tenant_id, key, reserved_by, reserved_until)
         VALUES ('{}', 'order-7', gen_random_uuid(), gateway_now() + interval '60 seconds')",
        app.acme.tenant_id
    ))
    .await;
    let refused = app.acme.transcribe_once("order-7", &job()).await;
    refused.problem(409, "idempotency-key-in-progress");
    assert!(refused.header("retry-after").is_some());
    app.set_clock_ahead("2 minutes").await;
    app.acme
        .transcribe_once("order-7", &job())
        .await
        .expect(202);
    assert_eq!(app.rows("jobs").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_of_a_clock_that_was_ahead_is_taken_over() {
    let app = TestApp::start().await;
    app.execute(&format!(
        "INSERT INTO idempotency_keys (tenant_id, key, reserved_by, reserved_until)
         VALUES ('{}', 'order-8', gen_random_uuid(), gateway_now() + interval '1 hour')",
        app.acme.tenant_id
    ))
    .await;
    app.acme
        .transcribe_once("order-8", &job())
        .await
        .expect(202);
    app.finish().await;
}

/// Sends the beginning of a file, and waits until its key is reserved. Gives what sends the rest, and what waits for the answer.
async fn upload_slowly(
    app: &TestApp,
    key: &str,
    beginning: &[u8],
) -> (Trickle, JoinHandle<Answer>) {
    let (trickle, body) = trickle();
    let form = Form::new().part("audio", Part::stream(body).file_name("a.wav"));
    let slow = app
        .acme
        .form("/v1/transcriptions/upload", form)
        .header("Idempotency-Key", key);
    let slow = tokio::spawn(Answer::to(slow));
    trickle.send(beginning).await;
    eventually("reservation", async || {
        (app.rows("idempotency_keys").await == 1).then_some(())
    })
    .await;
    (trickle, slow)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_must_stop_at_once_gives_its_keys_back_before() {
    let app = TestApp::builder().replicas(2).start().await;
    // It takes the database a moment.
    app.execute(
        "CREATE FUNCTION takes_a_moment() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_sleep(0.5); RETURN OLD; END $$",
    )
    .await;
    app.execute(
        "CREATE TRIGGER takes_a_moment BEFORE DELETE ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION takes_a_moment()",
    )
    .await;
    let file = audio::short();
    let (_trickle, slow) = upload_slowly(&app, "file-1", &file[..1000]).await;
    let shutdown = &app.replicas[0].shutdown;
    shutdown.soft.cancel();
    let ended = shutdown.drain(Duration::ZERO).await;
    assert_eq!(app.rows("idempotency_keys").await, 0);
    assert!(ended, "its last moment is enough");
    assert!(slow.await.is_err(), "it is answered");
    let other = app.acme.at(&app.replicas[1].base);
    let again = upload_once(&other, "file-1", file, None).await;
    again.expect(202);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_keeps_its_key_for_as_long_as_it_takes() {
    let app = TestApp::builder()
        .tune(|settings| settings.requests.key_renewal_interval = Duration::from_millis(20))
        .start()
        .await;
    let file = audio::short();
    let (beginning, rest) = file.split_at(1000);
    let (trickle, slow) = upload_slowly(&app, "file-1", beginning).await;
    // A key is held for a minute at a time.
    for seconds in [50, 100, 150] {
        app.set_clock_ahead(&format!("{seconds} seconds")).await;
        eventually("key that is held for most of another minute", async || {
            let held = "SELECT reserved_until > gateway_now() + interval '40 seconds' FROM idempotency_keys";
            app.scalar::<bool>(held).await.then_some(())
        })
        .await;
    }
    let early = upload_once(&app.acme, "file-1", file.clone(), None).await;
    early.problem(409, "idempotency-key-in-progress");
    trickle.send(rest).await;
    drop(trickle);
    let first = slow.await.unwrap();
    let id = first.expect(202)["id"].clone();
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = upload_once(&app.acme, "file-1", file, None).await;
    assert_eq!(again.expect(202)["id"], id);
    assert_eq!(app.rows("jobs").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_lost_its_key_makes_no_job() {
    let app = TestApp::start().await;
    let file = audio::short();
    let (beginning, rest) = file.split_at(1000);
    let (trickle, slow) = upload_slowly(&app, "file-1", beginning).await;
    let busy = upload_once(&app.acme, "file-1", file.clone(), None).await;
    busy.problem(409, "idempotency-key-in-progress");

    // As if the process had stood still for longer than it holds the key.
    app.set_clock_ahead("2 minutes").await;
    let fast = upload_once(&app.acme, "file-1", file.clone(), None).await;
    let id = fast.expect(202)["id"].clone();
    trickle.send(rest).await;
    drop(trickle);
    let late = slow.await.unwrap();
    late.problem(409, "idempotency-key-in-progress");
    let again = upload_once(&app.acme, "file-1", file, None).await;
    assert_eq!(again.expect(202)["id"], id);
    assert_eq!(app.rows("jobs").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_break_the_rule_are_refused() {
    let app = TestApp::start().await;
    let long = "k".repeat(256);
    for key in ["", long.as_str(), "a\tb", "clé"] {
        let answer = app.acme.transcribe_once(key, &job()).await;
        let problem = answer.problem(400, "invalid-parameter");
        assert_eq!(problem["errors"][0]["header"], "Idempotency-Key", "{key:?}");
    }
    let twice = app
        .acme
        .request(reqwest::Method::POST, "/v1/transcriptions")
        .header("Idempotency-Key", "a")
        .header("Idempotency-Key", "b")
        .json(&job());
    Answer::to(twice).await.problem(400, "invalid-parameter");
    assert_eq!(app.rows("jobs").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_deleted_job_makes_no_second_one() {
    let app = TestApp::start().await;
    let first = app
        .acme
        .transcribe_once("order-7", &job())
        .await
        .expect(202);
    let id = first["id"].as_str().unwrap();
    app.acme.wait_until_done(id).await;
    assert_eq!(app.acme.delete(id).await.status, 204);
    let again = app.acme.transcribe_once("order-7", &job()).await;
    again.problem(410, "transcription-deleted");
    assert_eq!(app.upstream.count("creates_received").await, 1);
    app.finish().await;
}
