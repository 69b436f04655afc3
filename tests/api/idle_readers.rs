//! Callers who do not take what they have asked for.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::support::{
    Answer, TestApp, eventually,
    results::{ask, done_with, paths},
    rows::success,
    sse::{ask_and_take_nothing, send_and_take_nothing},
};

/// Room for one large result, and for none beside it of the same tenant.
const LITTLE_ROOM: u32 = 3_000_000;

/// A job that is done with more than fits between the gateway and a caller who takes nothing. What is stored of it is small.
async fn done_with_much(app: &TestApp) -> String {
    done_with(app, &much()).await.0
}

fn much() -> String {
    "again and ".repeat(1_000_000)
}

async fn until_there_is_room(app: &TestApp, path: &str) {
    eventually("room", async || {
        (app.acme.get(path).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_not_taken_are_bounded_until_their_callers_are_gone() {
    let app = TestApp::builder()
        .set("MAX_ANSWER_MEMORY_BYTES", LITTLE_ROOM)
        .start()
        .await;
    let id = done_with_much(&app).await;
    for path in &paths(&id)[..2] {
        let idle = eventually("room", async || ask_and_take_nothing(&app.acme, path).await).await;
        for path in paths(&id) {
            let refused = Answer::to(ask(&app.acme, Method::GET, &path)).await;
            assert!(refused.header("retry-after").is_some(), "{path}");
            let told = if path.starts_with("/v2") {
                refused.envelope(503)["message"].clone()
            } else {
                refused.problem(503, "overloaded")["detail"].clone()
            };
            let told = told.as_str().unwrap();
            assert!(told.contains("(MAX_ANSWER_MEMORY_BYTES)"), "{told}");
            // Nothing of this one is sent.
            let head = Answer::to(ask(&app.acme, Method::HEAD, &path)).await;
            assert_eq!(head.status, 200, "{path}");
        }
        // What is small goes out, and so does what is packed.
        app.acme.get("/v1/transcriptions").await.expect(200);
        let packed = ask(&app.acme, Method::GET, path).header("accept-encoding", "zstd");
        assert_eq!(Answer::to(packed).await.status, 200);
        drop(idle);
        until_there_is_room(&app, path).await;
    }
    let metrics = app.acme.with_key(None).get("/metrics").await.text();
    let refused = "gateway_requests_shed_total{reason=\"answers\"} ";
    let refused = metrics.lines().find_map(|line| line.strip_prefix(refused));
    assert!(refused.unwrap().parse::<u32>().unwrap() >= 8, "{metrics}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_not_taken_has_room_for_the_result_that_is_being_sent() {
    let app = TestApp::builder()
        .set("MAX_ANSWER_MEMORY_BYTES", LITTLE_ROOM)
        .start()
        .await;
    let id = done_with_much(&app).await;
    let [path, ..] = paths(&id);
    let idle = ask_and_take_nothing(&app.acme, "/v2/pre-recorded").await;
    assert!(idle.is_some());
    // Once the page has come to the result.
    eventually("refusal", async || {
        (app.acme.get(&path).await.status == 503).then_some(())
    })
    .await;
    drop(idle);
    until_there_is_room(&app, &path).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_result_has_no_room_is_accepted_all_the_same() {
    let app = TestApp::builder()
        .set("MAX_ANSWER_MEMORY_BYTES", LITTLE_ROOM)
        .start()
        .await;
    let create = async || {
        let body = r#"{"audio_url": "https://audio.example/endless.mp3"}"#;
        let path = "/v1/transcriptions?wait=1";
        let create = app.acme.raw(path, "application/json", body);
        Answer::to(create.header("idempotency-key", "once")).await
    };
    let id = create().await.expect(202)["id"]
        .as_str()
        .unwrap()
        .to_owned();
    app.acme.wait_until(&id, "processing").await;
    let attempt = app.attempt(&id).await;
    let body = success(&attempt.gladia_id.clone().unwrap(), &much());
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    assert_eq!(create().await.expect(200)["status"], "done");
    let [path, ..] = paths(&id);
    let idle = eventually("room", async || {
        ask_and_take_nothing(&app.acme, &path).await
    })
    .await;
    let again = create().await;
    assert_eq!(again.expect(202)["id"], *id);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    drop(idle);
    eventually("room", async || {
        (create().await.status == 200).then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_takes_nothing_of_a_result_makes_room_in_the_end() {
    let app = TestApp::builder()
        .set("MAX_ANSWER_MEMORY_BYTES", LITTLE_ROOM)
        .tune(|settings| settings.requests.answer_idle_timeout = Duration::from_secs(3))
        .start()
        .await;
    let id = done_with_much(&app).await;
    let [path, ..] = paths(&id);
    let mut idle = ask_and_take_nothing(&app.acme, &path).await.unwrap();
    let whole = eventually("room", async || {
        let answer = app.acme.get(&path).await;
        (answer.status == 200).then_some(answer.bytes.len())
    })
    .await;
    let mut rest = Vec::new();
    let _ = idle.read_to_end(&mut rest).await;
    assert!(rest.len() < whole, "it cannot take this for the whole");
    let metrics = app.acme.with_key(None).get("/metrics").await.text();
    let counted = metrics
        .lines()
        .find_map(|line| line.strip_prefix("gateway_answers_cut_off_total "));
    assert_ne!(counted.unwrap(), "0");
    app.finish().await;
}

const VALIDATE: &str = "/v1/transcriptions/validate";

/// Room for two answers with [`much_asked`], and something else.
const SOME_ROOM: u32 = 20_000_000;

/// More than fits between the gateway and a caller who takes nothing, in a request and in each answer that shows it.
fn much_asked() -> Value {
    json!({ "audio_url": "https://audio.example/a.mp3", "extra_options": { "note": "a".repeat(8_000_000) } })
}

async fn app_with_some_room() -> TestApp {
    TestApp::builder()
        .set("MAX_ANSWER_MEMORY_BYTES", SOME_ROOM)
        .set("MAX_REQUEST_BYTES", 9_000_000)
        .start()
        .await
}

/// The path of a result that is counted, though it is small beside what others ask.
async fn large_result(app: &TestApp) -> String {
    let (id, _) = done_with(app, &"again and ".repeat(50_000)).await;
    let [path, ..] = paths(&id);
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_take_answers_to_what_changed_nothing_is_refused_and_nobody_else() {
    let app = app_with_some_room().await;
    let result = large_result(&app).await;
    app.pause_dispatch().await;
    let body = much_asked();
    let once = "idempotency-key: once\r\n";
    let create = app.globex.transcribe_once("once", &body).await.expect(202);
    let waits = format!("/v1/transcriptions/{}", create["id"].as_str().unwrap());
    let canceled = app.globex.transcribe(&body).await.expect(202);
    let canceled = format!("/v1/transcriptions/{}", canceled["id"].as_str().unwrap());
    let cancel = format!("{canceled}/cancel");
    app.globex.post(&cancel, &json!({})).await.expect(200);
    let (body, none) = (body.to_string(), String::new());
    for (path, headers, body) in [
        (VALIDATE.to_owned(), "", &body),
        ("/v1/transcriptions".to_owned(), once, &body),
        (format!("{waits}/retry"), "", &none),
        (cancel, "", &none),
    ] {
        let mut idle = Vec::new();
        for _ in 0..5 {
            idle.extend(send_and_take_nothing(&app.globex, "POST", &path, headers, body).await);
        }
        assert!((1..5).contains(&idle.len()), "{path}: {}", idle.len());
        let other = app.acme.get(&result).await;
        assert_eq!(other.status, 200, "{path}: {}", other.text());
        drop(idle);
        eventually("room", async || {
            let alone = send_and_take_nothing(&app.globex, "POST", &path, headers, body).await;
            alone.map(drop)
        })
        .await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_no_answer_to_what_was_done_has_nothing_more_done() {
    let app = app_with_some_room().await;
    let result = large_result(&app).await;
    app.pause_dispatch().await;
    let body = much_asked().to_string();
    let mut idle = Vec::new();
    let create =
        async || send_and_take_nothing(&app.globex, "POST", "/v1/transcriptions", "", &body).await;
    for _ in 0..6 {
        idle.extend(create().await);
    }
    assert!((1..6).contains(&idle.len()), "{}", idle.len());
    let made = i64::try_from(idle.len()).unwrap();
    assert_eq!(app.rows("jobs WHERE status = 'queued'").await, made);
    let small = json!({ "audio_url": "https://audio.example/b.mp3" });
    let refused = app.globex.transcribe(&small).await;
    assert!(refused.header("retry-after").is_some());
    let problem = refused.problem(503, "overloaded");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("Nothing was done")
    );
    assert_eq!(app.rows("jobs WHERE status = 'queued'").await, made);
    // What changes nothing and is small goes out, and others have their part.
    app.globex.get("/v1/webhook-endpoints").await.expect(200);
    assert_eq!(app.acme.get(&result).await.status, 200);
    app.acme.transcribe(&small).await.expect(202);
    drop(idle);
    eventually("room", async || {
        (app.globex.transcribe(&small).await.status == 202).then_some(())
    })
    .await;
    app.stop().await;
}
