//! Callbacks to the callers of jobs, in the shape in which Gladia sends them.

use serde_json::{Value, json};

use crate::support::{
    TestApp,
    callbacks::processing,
    receiver::{Receiver, Reply},
    rows::{failure, success},
};

/// A job of which Gladia is not done, with metadata, whose end is told to a receiver.
async fn start(app: &TestApp, receiver: &Receiver, method: &str) -> String {
    let request = json!({
        "audio_url": "https://audio.example/endless.mp3",
        "custom_metadata": { "order": 7, "price": 1.10, "nested": { "a": [null, "\u{0}"] } },
    });
    let job = app.acme.transcribe(&request).await.expect(202);
    let id = job["id"].as_str().unwrap().to_owned();
    app.set_callback(&id, &receiver.url(), method).await;
    id
}

async fn wait_for(app: &TestApp, job: &str, statuses: &[&str]) {
    crate::support::eventually(&format!("callbacks that are {statuses:?}"), async || {
        let rows = app.deliveries(&format!("job_id = '{job}'")).await;
        rows.iter()
            .map(|row| row.status.as_str())
            .eq(statuses.iter().copied())
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_is_told_as_gladia_tells_it_with_our_id_and_the_callers_metadata() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let id = start(&app, &receiver, "POST").await;
    let attempt = app.wait_for_attempt(&id, "accepted").await;
    let gladia_id = attempt.gladia_id.unwrap();
    app.call_back(attempt.id, success(&gladia_id, "good morning"))
        .await
        .expect(200);
    wait_for(&app, &id, &["delivered"]).await;

    let [request] = &receiver.received()[..] else {
        panic!("one request");
    };
    let body = request.json();
    assert_eq!(
        body,
        json!({
            "id": id,
            "event": "transcription.success",
            "payload": app.acme.result(&id).await.json(),
            "custom_metadata": { "order": 7, "price": 1.10, "nested": { "a": [null, "\u{0}"] } },
        })
    );
    let result = app.acme.result(&id).await.bytes;
    let within = request.body.windows(result.len());
    assert_eq!(within.filter(|bytes| *bytes == &result[..]).count(), 1);
    let text = String::from_utf8_lossy(&request.body);
    assert!(
        !text.contains(&gladia_id) && !text.contains("gladia_gateway"),
        "{text}"
    );
    assert_eq!(request.method, "POST");
    assert!(request.id().starts_with("cb_"));
    assert!(request.is_signed_with(&app.callback_secret(&app.acme).await));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_by_put_where_the_caller_wants_it_so() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.set_callback(&id, &receiver.url_of("/in?a=b"), "PUT")
        .await;
    app.call_back(attempt.id, failure(&gladia_id, 422, "nothing to be heard"))
        .await
        .expect(200);
    wait_for(&app, &id, &["delivered"]).await;
    let request = receiver.received()[0].clone();
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("PUT", "/in?a=b")
    );
    // Without metadata there is no field for them.
    assert_eq!(
        request.json(),
        json!({
            "id": id, "event": "transcription.error",
            "error": { "code": 422, "message": "nothing to be heard" },
        })
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_the_gateways_own_has_a_code_too() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let (id, ..) = processing(&app).await;
    app.set_callback(&id, &receiver.url(), "POST").await;
    app.set_clock_ahead("3 hours").await;
    let job = app.acme.wait_until(&id, "error").await;
    wait_for(&app, &id, &["delivered"]).await;
    let error = receiver.received()[0].json()["error"].clone();
    // As `/v2` shows it.
    assert_eq!(error["code"], 504);
    assert_eq!(error["message"], job["error"]["message"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_success_is_told_after_the_failure_under_another_id() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.set_callback(&id, &receiver.url(), "POST").await;
    app.call_back(attempt.id, failure(&gladia_id, 500, "no luck"))
        .await
        .expect(200);
    wait_for(&app, &id, &["delivered"]).await;
    app.call_back(attempt.id, success(&gladia_id, "after all"))
        .await
        .expect(200);
    wait_for(&app, &id, &["delivered"; 2]).await;
    let requests = receiver.received();
    let events: Vec<Value> = requests
        .iter()
        .map(|request| request.json()["event"].clone())
        .collect();
    assert_eq!(events, ["transcription.error", "transcription.success"]);
    assert_ne!(requests[0].id(), requests[1].id());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_answers_410_is_dead_and_others_to_the_same_host_go_on() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    receiver.reply_next([Reply::Status(410)]);
    let (first, attempt, gladia_id) = processing(&app).await;
    app.set_callback(&first, &receiver.url(), "POST").await;
    app.call_back(attempt.id, success(&gladia_id, "one"))
        .await
        .expect(200);
    wait_for(&app, &first, &["dead"]).await;
    let delivery = app.deliveries("true").await[0].clone();
    assert_eq!(delivery.dead_reason.as_deref(), Some("endpoint_gone"));
    let (second, attempt, gladia_id) = processing(&app).await;
    app.set_callback(&second, &receiver.url(), "POST").await;
    app.call_back(attempt.id, success(&gladia_id, "two"))
        .await
        .expect(200);
    wait_for(&app, &second, &["delivered"]).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_whose_job_is_erased_meanwhile_is_dead() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(Reply::Status(500)).await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.set_callback(&id, &receiver.url(), "POST").await;
    app.call_back(attempt.id, success(&gladia_id, "secret words"))
        .await
        .expect(200);
    app.wait_for_tries("true", 1).await;
    app.acme.delete(&id).await.expect(204);
    app.set_clock_ahead("1 minute").await;
    wait_for(&app, &id, &["dead"]).await;
    let delivery = app.deliveries("true").await[0].clone();
    assert_eq!(
        delivery.dead_reason.as_deref(),
        Some("transcription_deleted")
    );
    assert_eq!(receiver.received().len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_and_a_callback_of_the_same_job_are_both_told() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let types = &["transcription.done"];
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), types).await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.set_callback(&id, &receiver.url(), "POST").await;
    app.call_back(attempt.id, success(&gladia_id, "twice"))
        .await
        .expect(200);
    wait_for(&app, &id, &["delivered"; 2]).await;
    let requests = receiver.received();
    let callback_secret = app.callback_secret(&app.acme).await;
    for request in &requests {
        let is_callback = request.id().starts_with("cb_");
        assert_eq!(request.is_signed_with(&callback_secret), is_callback);
        assert_eq!(request.is_signed_with(&endpoint.secret), !is_callback);
        assert_eq!(request.json().get("payload").is_some(), is_callback);
    }
    let numbers: Vec<String> = requests
        .iter()
        .map(|request| request.id().split_once('_').unwrap().1.to_owned())
        .collect();
    assert_eq!(numbers[0], numbers[1]);
    assert_ne!(requests[0].id(), requests[1].id());
    app.finish().await;
}
