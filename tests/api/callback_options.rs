//! Callbacks that callers ask for: kept with the job, shown to its caller, and none of Gladia's business.

use gladia_gateway::domain::options::CALLBACK_OPTIONS;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    options::without_ours,
    support::{Answer, TestApp, audio, callbacks::processing, eventually, rows::failure},
};

/// Nobody listens there.
const URL: &str = "http://127.0.0.1:1/told?key=caller-secret";

/// Options with a callback.
fn called() -> Value {
    json!({ "callback": true, "callback_config": { "url": URL, "method": "PUT" } })
}

fn with_audio(mut options: Value, audio: &str) -> Value {
    options["audio_url"] = format!("https://audio.example/{audio}").into();
    options
}

/// The callback that is kept with a job.
async fn kept(app: &TestApp, id: &str) -> Value {
    app.scalar::<Option<Value>>(&format!("SELECT callback FROM jobs WHERE id = '{id}'"))
        .await
        .unwrap_or_default()
}

fn put() -> Value {
    json!({ "url": URL, "method": "PUT" })
}

fn id_of(job: &Value) -> &str {
    job["id"].as_str().unwrap()
}

/// Makes sure that Gladia has seen nothing of the caller's callback.
async fn gladia_knows_nothing(app: &TestApp) {
    let jobs = app.upstream.jobs().await;
    assert!(!jobs.is_empty());
    for job in &jobs {
        let body = without_ours(job);
        for name in CALLBACK_OPTIONS {
            assert_eq!(body.get(name), None, "{body}");
        }
    }
    let ledger = app.upstream.ledger().await.to_string();
    assert!(!ledger.contains("caller-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_callback_is_kept_and_shown_and_gladia_gets_the_gateways_own() {
    let app = TestApp::start().await;
    let body = with_audio(called(), "a.mp3");
    let checked = app.acme.post("/v1/transcriptions/validate", &body).await;
    let checked = checked.expect(200);
    assert_eq!(checked["options"], called());
    assert_eq!(
        checked["upstream_body"],
        json!({ "audio_url": body["audio_url"] })
    );
    let job = app.acme.transcribe(&body).await.expect(202);
    assert_eq!(job["options"], called());
    assert_eq!(job["warnings"], json!([]));
    let done = app.acme.wait_until_done(id_of(&job)).await;
    assert_eq!(done["options"], called());
    assert_eq!(kept(&app, id_of(&job)).await, put());
    // What was asked for by somebody else's job does not show in this one.
    let plain = app.acme.start("b.mp3").await;
    app.acme.wait_until_done(&plain).await;
    assert_eq!(kept(&app, &plain).await, Value::Null);
    gladia_knows_nothing(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_and_each_request_of_a_batch_have_callbacks_of_their_own() {
    let app = TestApp::start().await;
    let file = app
        .acme
        .upload(audio::short(), "a.wav", Some(&called()))
        .await;
    let file = file.expect(202);
    assert_eq!(file["options"], called());
    assert_eq!(kept(&app, id_of(&file)).await, put());
    let requests = [
        with_audio(called(), "a.mp3"),
        with_audio(json!({}), "b.mp3"),
        with_audio(json!({ "callback_url": URL }), "c.mp3"),
        with_audio(json!({ "callback_url": "http://10.0.0.1/" }), "d.mp3"),
    ];
    let batch = app
        .acme
        .post("/v1/batches", &json!({ "requests": requests }))
        .await
        .expect(202);
    let outcomes = batch["outcomes"].as_array().unwrap();
    assert_eq!(outcomes[3]["status"], "refused");
    let mut found = Vec::new();
    for outcome in &outcomes[..3] {
        let id = outcome["transcription_id"].as_str().unwrap();
        found.push(kept(&app, id).await);
        app.acme.wait_until_done(id).await;
    }
    let post = json!({ "url": URL, "method": "POST" });
    assert_eq!(found, [put(), Value::Null, post]);
    app.acme.wait_until_done(id_of(&file)).await;
    gladia_knows_nothing(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_told_where_its_callback_is_wrong() {
    let app = TestApp::start().await;
    let options = json!({ "callback": true, "callback_config": { "url": "http://192.168.1.1/" } });
    let answer = app
        .acme
        .upload(audio::short(), "a.wav", Some(&options))
        .await;
    answer.violation(422, "invalid-request", "/options/callback_config/url");
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_of_half_a_callback_is_told() {
    let app = TestApp::start().await;
    let config = json!({ "url": URL });
    for (options, wanted, pointer, code) in [
        (
            json!({ "callback_config": config }),
            json!({ "url": URL, "method": "POST" }),
            "/callback_config",
            "switched_on",
        ),
        (
            json!({ "callback_url": URL }),
            json!({ "url": URL, "method": "POST" }),
            "/callback_url",
            "deprecated",
        ),
        (
            json!({ "callback": false, "callback_config": config }),
            Value::Null,
            "/callback_config",
            "no_effect",
        ),
    ] {
        let body = with_audio(options.clone(), "a.mp3");
        let job = app.acme.transcribe(&body).await.expect(202);
        let warning = &job["warnings"][0];
        assert_eq!(
            (&warning["pointer"], &warning["code"]),
            (&json!(pointer), &json!(code))
        );
        assert_eq!(kept(&app, id_of(&job)).await, wanted, "{options}");
        for (name, value) in options.as_object().unwrap() {
            assert_eq!(&job["options"][name], value);
        }
        app.acme.wait_until_done(id_of(&job)).await;
    }
    gladia_knows_nothing(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_a_callback_is_told_at_once() {
    let app = TestApp::start().await;
    let body = json!({
        "audio_url": "https://audio.example/a.mp3",
        "callback": "yes",
        "callback_config": { "url": "http://[fd00:ec2::254]/", "method": "PATCH", "headers": {} },
        "callback_url": "https://caller.example/#part",
        "extra_options": { "callback_url": URL },
    });
    let problem = app.acme.transcribe(&body).await;
    let problem = problem.problem(422, "invalid-request");
    let mut pointers: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/callback",
            "/callback_config/headers",
            "/callback_config/method",
            "/callback_config/url",
            "/callback_url",
            "/extra_options/callback_url",
        ]
    );
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_gladia_cannot_call_it_is_asked_to_call_nobody() {
    let app = TestApp::builder()
        .set("COMPLETION", "poll")
        .set("PUBLIC_URL", "")
        .start()
        .await;
    for options in [called(), json!({ "callback_url": URL })] {
        let body = with_audio(options, "a.mp3");
        let job = app.acme.transcribe(&body).await.expect(202);
        app.acme.wait_until_done(id_of(&job)).await;
        assert_eq!(kept(&app, id_of(&job)).await["url"], URL);
    }
    for body in app.create_bodies().await {
        for name in CALLBACK_OPTIONS {
            assert_eq!(body.get(name), None, "{body}");
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_another_callback_is_another_request() {
    let app = TestApp::start().await;
    let body = with_audio(called(), "a.mp3");
    let first = app.acme.transcribe_once("key", &body).await.expect(202);
    let again = app.acme.transcribe_once("key", &body).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect(202)["id"], first["id"]);
    let mut other = body;
    other["callback_config"]["method"] = json!("POST");
    app.acme
        .transcribe_once("key", &other)
        .await
        .problem(422, "idempotency-key-reused");
    app.acme.wait_until_done(id_of(&first)).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_keeps_the_callback_and_each_end_has_a_delivery() {
    let app = TestApp::start().await;
    let body = with_audio(called(), "endless.mp3");
    let job = app.acme.transcribe(&body).await.expect(202);
    let id = id_of(&job);
    let deliveries = async |event: &str, count: i64| {
        let query = format!(
            "SELECT count(*) FROM deliveries WHERE job_id = '{id}' AND endpoint_id IS NULL AND event_type = '{event}'"
        );
        eventually("delivery of the callback", async || {
            (app.scalar::<i64>(&query).await == count).then_some(())
        })
        .await;
    };
    app.acme.wait_until(id, "processing").await;
    let attempt = app.attempt(id).await;
    let gladia_id = attempt.gladia_id.unwrap();
    let failed = failure(&gladia_id, 500, "worker lost");
    app.call_back(attempt.id, failed).await.expect(200);
    deliveries("transcription.error", 1).await;
    app.acme.retry(id).await.expect(202);
    assert_eq!(kept(&app, id).await, put());
    app.acme.wait_until(id, "processing").await;
    let attempt = app.attempt(id).await;
    let done = crate::support::rows::success(&attempt.gladia_id.unwrap(), "hello");
    app.call_back(attempt.id, done).await.expect(200);
    deliveries("transcription.done", 1).await;
    deliveries("transcription.error", 1).await;
    // The address itself stands nowhere else.
    let origin: String = app.scalar("SELECT origin FROM delivery_lanes").await;
    assert_eq!(origin, "http://127.0.0.1:1");
    gladia_knows_nothing(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_job_is_not_told_of_any_more() {
    let app = TestApp::start().await;
    let body = with_audio(called(), "a.mp3");
    let job = app.acme.transcribe(&body).await.expect(202);
    let id = id_of(&job);
    app.acme.wait_until_done(id).await;
    let delivery: String = eventually("delivery of the callback", async || {
        let query = format!("SELECT min(id::text) FROM deliveries WHERE job_id = '{id}'");
        app.scalar::<Option<String>>(&query).await
    })
    .await;
    let answer = app
        .execute(&format!(
            "INSERT INTO delivery_attempts (delivery_id, number, started_at, duration_ms, http_status, error, response_start)
             VALUES ('{delivery}', 1000, gateway_now(), 7, 500, 'http_status', 'I was sent: hello')"
        ))
        .await;
    assert_eq!(answer, 1);
    let path = format!("/v1/deliveries/{delivery}");
    let before = app.acme.get(&path).await.expect(200);
    assert_eq!(before["status"], "pending");
    let of_answer = |delivery: &Value| {
        // Tries of the gateway's own may have come before and after it.
        let attempts = delivery["attempts"].as_array().unwrap();
        let answered = attempts
            .iter()
            .find(|attempt| attempt["http_status"] == 500);
        answered.unwrap()["response_start"].clone()
    };
    assert_eq!(of_answer(&before), "I was sent: hello");

    assert_eq!(app.acme.delete(id).await.status, 204);
    assert_eq!(kept(&app, id).await, Value::Null);
    let after = app.acme.get(&path).await.expect(200);
    assert_eq!(
        (&after["status"], &after["dead_reason"]),
        (&json!("dead"), &json!("transcription_deleted"))
    );
    assert_eq!(of_answer(&after), Value::Null);
    // Nor on request: there is nothing to tell.
    let replay = app.acme.request(Method::POST, &format!("{path}/replay"));
    let problem = Answer::to(replay).await;
    let problem = problem.problem(410, "transcription-deleted");
    assert_eq!(problem["erased"]["by"], "request");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canceled_job_has_no_callback_as_at_gladia() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.execute(&format!(
        "UPDATE jobs SET callback = '{}' WHERE id = '{id}'",
        put()
    ))
    .await;
    app.acme.cancel(&id).await.expect(200);
    let late = crate::support::rows::success(&gladia_id, "hello");
    app.call_back(attempt.id, late).await.expect(200);
    eventually("events that are all numbered", async || {
        let query = format!(
            "SELECT bool_and(number IS NOT NULL) FROM events
             WHERE job_id = '{id}' AND type IN ('transcription.canceled', 'transcription.processing')"
        );
        app.scalar::<bool>(&query).await.then_some(())
    })
    .await;
    assert_eq!(app.rows("deliveries").await, 0);
    app.finish().await;
}
