//! More than the gateway can do: what is refused early, and what is not.

use futures_util::future::join_all;
use gladia_gateway::domain::access::Scope;
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::json;
use sqlx::{Postgres, Transaction};
use tokio::task::JoinHandle;

use crate::support::{
    Answer, Caller, TestApp, audio,
    callbacks::processing,
    database::until_statements_wait,
    events::wait_until_numbered,
    eventually,
    rows::success,
    sse::EventStream,
    trickle::trickle,
    waiting::{look_in_place, until_somebody_waits},
};

const CREATE: &str = r#"{"audio_url": "https://audio.example.com/a.mp3"}"#;

/// Keeps every request of the API where its key is looked at.
async fn hold_requests(app: &TestApp) -> Transaction<'static, Postgres> {
    let mut held = app.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *held)
        .await
        .unwrap();
    held
}

/// Sends a create, and waits until it is worked on.
async fn create_while_held(app: &TestApp) -> JoinHandle<Answer> {
    let request = app
        .acme
        .raw("/v1/transcriptions", "application/json", CREATE);
    let create = tokio::spawn(Answer::to(request));
    eventually("request at work", async || {
        let waiting =
            "SELECT count(*) FROM pg_locks WHERE relation = 'api_keys'::regclass AND NOT granted";
        (app.scalar::<i64>(waiting).await == 1).then_some(())
    })
    .await;
    create
}

async fn create(caller: &Caller) -> Answer {
    Answer::to(caller.raw("/v1/transcriptions", "application/json", CREATE)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_capacity_requests_are_refused_before_anything_is_done_and_callbacks_get_through() {
    let app = TestApp::builder()
        .set("MAX_REQUESTS_AT_ONCE", 1)
        .start()
        .await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let held = hold_requests(&app).await;
    let first = create_while_held(&app).await;

    let refused = create(&app.acme).await;
    let problem = refused.problem(503, "overloaded");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("(MAX_REQUESTS_AT_ONCE)"), "{detail}");
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&after), "{after}");
    let of_gladias_client = app.acme.v2(Method::POST, "/v2/pre-recorded");
    let refused = Answer::to(of_gladias_client.body(CREATE)).await;
    refused.gladia_error(503, detail);
    assert!(refused.header("retry-after").is_some());

    let anonymous = app.acme.with_key(None);
    for path in ["/livez", "/readyz", "/readyz?for=api"] {
        assert_eq!(anonymous.get(path).await.status, 200, "{path}");
    }
    let metrics = anonymous.get("/metrics").await.text();
    let shed = metrics
        .lines()
        .find(|line| line.starts_with("gateway_requests_shed_total{reason=\"turns\"}"));
    assert!(shed.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
    let called_back = app
        .call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    assert_eq!(called_back.status, 200);

    held.rollback().await.unwrap();
    first.await.unwrap().expect(202);
    assert_eq!(app.rows("jobs").await, 2, "what is refused makes no job");
    assert_eq!(app.acme.job(&id).await["status"], "done");
    create(&app.acme).await.expect(202);
    app.finish().await;
}

/// Keeps every request that changes a job where it waits for that job's lock.
async fn hold_job(app: &TestApp, id: &str) -> Transaction<'static, Postgres> {
    let mut held = app.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM jobs WHERE id = $1::uuid FOR UPDATE")
        .bind(id)
        .execute(&mut *held)
        .await
        .unwrap();
    held
}

/// Of 8 connections one listens, 5 are for callers, and one tenant has 3 of those.
async fn until_as_many_wait_there_as_one_tenant_may(app: &TestApp) {
    eventually(
        "statements that wait for a lock, of one tenant",
        async || {
            let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
            (app.scalar::<i64>(waiting).await == 3).then_some(())
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hangs_up_in_the_middle_gets_the_turns_and_connections_back() {
    let app = TestApp::builder()
        .set("MAX_REQUESTS_AT_ONCE", 8)
        .set("DATABASE_POOL_SIZE", 8)
        .start()
        .await;
    let (id, ..) = processing(&app).await;
    let held = hold_job(&app, &id).await;
    let path = format!("/v1/transcriptions/{id}/cancel");
    for _ in 0..2 {
        let cancel = || tokio::spawn(Answer::to(app.acme.request(Method::POST, &path)));
        let slow_ones: Vec<_> = (0..4).map(|_| cancel()).collect();
        until_as_many_wait_there_as_one_tenant_may(&app).await;
        for slow in slow_ones {
            slow.abort();
        }
        eventually("answer to another request of the tenant's", async || {
            (app.acme.get("/v1/webhook-endpoints").await.status == 200).then_some(())
        })
        .await;
    }
    held.rollback().await.unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_requests_are_slow_leaves_turns_and_connections_to_others_and_to_callbacks()
{
    let app = TestApp::builder()
        .set("MAX_REQUESTS_AT_ONCE", 20)
        .set("DATABASE_POOL_SIZE", 8)
        .start()
        .await;
    let (acmes, ..) = processing(&app).await;
    let held = hold_job(&app, &acmes).await;
    let path = format!("/v1/transcriptions/{acmes}/cancel");
    let cancel = || tokio::spawn(Answer::to(app.acme.request(Method::POST, &path)));
    let slow_ones: Vec<_> = (0..30).map(|_| cancel()).collect();
    until_as_many_wait_there_as_one_tenant_may(&app).await;

    // Another tenant's is accepted, sent, called back and read meanwhile.
    let id = app.globex.start("a.mp3").await;
    app.globex.wait_until_done(&id).await;

    held.rollback().await.unwrap();
    for slow in slow_ones {
        let status = slow.await.unwrap().status;
        assert!([200, 503].contains(&status), "{status}");
    }
    cancel().await.unwrap().expect(200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_creates_wait_for_each_other_leaves_connections_to_those_of_others() {
    let app = TestApp::builder()
        .set("MAX_REQUESTS_AT_ONCE", 20)
        .set("DATABASE_POOL_SIZE", 8)
        .start()
        .await;
    app.pause_dispatch().await;
    for caller in [&app.acme, &app.globex] {
        caller.get("/v1/transcriptions").await.expect(200);
    }
    let body = |audio: &str| json!({ "audio_url": format!("https://audio.example/{audio}") });
    app.acme.v2_start(&body("a.mp3")).await;
    let mut held = app.pool.begin().await.unwrap();
    let creates_own_key = "SELECT FROM idempotency_keys WHERE key LIKE '§%' FOR UPDATE";
    sqlx::query(creates_own_key)
        .execute(&mut *held)
        .await
        .unwrap();
    let again = app.acme.v2_create_request(&body("a.mp3"));
    let again = || tokio::spawn(Answer::to(again.try_clone().unwrap()));
    let waiting: Vec<_> = (0..10).map(|_| again()).collect();
    until_statements_wait(&app, 3).await;

    app.globex.v2_start(&body("b.mp3")).await;

    held.rollback().await.unwrap();
    for create in waiting {
        let status = create.await.unwrap().status;
        assert!([201, 503].contains(&status), "{status}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_lists_are_slow_to_read_leaves_connections_to_others() {
    let app = TestApp::builder()
        .set("MAX_REQUESTS_AT_ONCE", 20)
        .set("DATABASE_POOL_SIZE", 8)
        .start()
        .await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    let mut held = app.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE callbacks IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *held)
        .await
        .unwrap();
    // What a page says of its jobs is there at once; their results are read while it is sent.
    let lists: Vec<_> = (0..10)
        .map(|_| {
            let list = app.acme.v2(Method::GET, "/v2/pre-recorded");
            tokio::spawn(Answer::to(list))
        })
        .collect();
    until_statements_wait(&app, 3).await;

    // Whose this one's key is has to be looked up first.
    let another = app.caller("initech", Scope::Read).await;
    another.get("/v1/webhook-endpoints").await.expect(200);

    held.rollback().await.unwrap();
    for list in lists {
        list.abort();
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_waited_out() {
    let app = TestApp::builder()
        .set("MAX_REQUESTS_AT_ONCE", 1)
        .start()
        .await;
    let answers = join_all((0..10).map(|_| create(&app.acme))).await;
    for answer in answers {
        answer.expect(202);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_news_leaves_the_turn_to_others() {
    let app = TestApp::builder()
        .set("MAX_REQUESTS_AT_ONCE", 1)
        .set("MAX_WAITING_REQUESTS", 1)
        .start()
        .await;
    let (id, attempt, gladia_id) = processing(&app).await;
    // The stream begins after what has happened so far.
    wait_until_numbered(&app).await;
    let mut stream = EventStream::open(&app.acme, "/v1/events/stream").await;
    let waiting = look_in_place(&app.acme, &format!("/v1/transcriptions/{id}?wait=60"));
    until_somebody_waits(&app.acme).await;
    create(&app.acme).await.expect(202);
    assert_eq!(stream.next().await.kind, "transcription.queued");
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    assert_eq!(waiting.await.unwrap().expect(200)["status"], "done");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_gladia_leaves_the_turn_to_others() {
    let app = TestApp::builder()
        .with_gladia_relay()
        .set("MAX_REQUESTS_AT_ONCE", 1)
        .start()
        .await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    app.pause_dispatch().await;
    app.gladia().hold_answers();
    let form = Form::new().part("audio", Part::bytes(audio::short()).file_name("a.wav"));
    let by_form = app.acme.request(Method::POST, "/v1/uploads");
    let by_form = by_form.multipart(form);
    let by_url = app.acme.as_gladias_client(Method::POST, "/v2/upload");
    let by_url = by_url.json(&json!({ "audio_url": "https://audio.example/a.mp3" }));
    let download = format!("/v1/transcriptions/{id}/audio");
    let download = app.acme.request(Method::GET, &download);
    let mut waiting = Vec::new();
    for (request, arrives, count) in [
        (by_form, "uploads", 1),
        (by_url, "uploads", 2),
        (download, "files", 1),
    ] {
        waiting.push(tokio::spawn(request.send()));
        app.upstream.wait_for(arrives, count).await;
        create(&app.acme).await.expect(202);
    }
    app.gladia().release_answers();
    for answer in waiting {
        let answer = answer.await.unwrap().unwrap();
        // Of the address the simulator says that there is nothing.
        assert!(!answer.status().is_server_error(), "{answer:?}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_together_and_whoever_waits_for_one_leaves_the_turn_to_others() {
    let app = TestApp::builder()
        .set("MAX_REQUESTS_AT_ONCE", 1)
        .set("MAX_BODY_MEMORY_BYTES", 1000)
        .start()
        .await;
    let id = app.acme.start("a.mp3").await;
    let head = "--b\r\nContent-Disposition: form-data; name=\"audio\"; filename=\"a.wav\"\r\n\r\n";
    let (sender, body) = trickle();
    let form = "multipart/form-data; boundary=b";
    let request = app.acme.raw("/v1/uploads", form, body);
    let upload = tokio::spawn(Answer::to(request));
    sender
        .send(&[head.as_bytes(), &audio::short()].concat())
        .await;
    app.upstream.wait_for("uploads", 1).await;
    let problem = create(&app.acme).await.problem(503, "overloaded");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("(MAX_BODY_MEMORY_BYTES)"), "{detail}");
    // What has no body takes no memory, and the turn is free.
    app.acme.job(&id).await;
    sender.send(b"\r\n--b--\r\n").await;
    drop(sender);
    upload.await.unwrap().expect(201);
    create(&app.acme).await.expect(202);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_counts_with_what_it_becomes_once_it_is_parsed() {
    let app = TestApp::builder()
        .set("MAX_BODY_MEMORY_BYTES", 2_500_000)
        .start()
        .await;
    app.pause_dispatch().await;
    // A few bytes each as text, and some sixty in memory.
    let numbers = json!({
        "audio_url": "https://audio.example.com/a.mp3", "extra_options": { "x": vec![0; 20_000] },
    });
    let post = |caller: &Caller, query: &str| {
        let path = format!("/v1/transcriptions{query}");
        let request = caller.request(Method::POST, &path).json(&numbers);
        tokio::spawn(Answer::to(request))
    };
    let mut held = app.pool.begin().await.unwrap();
    // A create's statement needs it, and none of the workers'.
    sqlx::query("LOCK TABLE job_metadata IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *held)
        .await
        .unwrap();
    let waiting = post(&app.acme, "?wait=60");
    until_statements_wait(&app, 1).await;
    let problem = post(&app.globex, "").await.unwrap();
    let problem = problem.problem(503, "overloaded");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("(MAX_BODY_MEMORY_BYTES)"), "{detail}");
    held.rollback().await.unwrap();
    // Of what waits for news nothing parsed is in memory any more.
    eventually("room", async || {
        let answer = post(&app.globex, "").await.unwrap();
        (answer.status == 202).then_some(())
    })
    .await;
    assert!(!waiting.is_finished());
    waiting.abort();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_holds_no_more_than_came_of_its_body() {
    // Room for two bodies of which nobody says how long they are, and not for three.
    let app = TestApp::builder()
        .set("MAX_BODY_MEMORY_BYTES", 2_500_000)
        .start()
        .await;
    app.pause_dispatch().await;
    let create = |path: &str| {
        let (sender, body) = trickle();
        let request = app.acme.raw(path, "application/json", body);
        tokio::spawn(async move {
            let whole = async move { sender.send(CREATE.as_bytes()).await };
            tokio::join!(Answer::to(request), whole).0
        })
    };
    let mut waiting = Vec::new();
    for made in 1..=3 {
        waiting.push(create("/v1/transcriptions?wait=60"));
        eventually("job of a request that waits", async || {
            (app.rows("jobs").await == made).then_some(())
        })
        .await;
    }
    create("/v1/transcriptions").await.unwrap().expect(202);
    assert!(waiting.iter().all(|create| !create.is_finished()));
    for create in waiting {
        create.abort();
    }
    app.stop().await;
}
