//! Every kind of fault, as a client sees it.

use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::{Value, json};

use super::support::{Api, Receiver, body, quick};

const CREATE: &str = "/v2/pre-recorded";

async fn create(api: &Api) -> reqwest::Result<reqwest::Response> {
    let request = api.request(Method::POST, CREATE);
    let body = json!({"audio_url": "https://audio.example/1.wav"});
    request.json(&body).send().await
}

async fn accepted(api: &Api) -> Value {
    api.ledger().await["counts"]["creates_accepted"].clone()
}

#[tokio::test]
async fn a_status_refuses_in_the_envelope_or_in_words_of_its_own() {
    let api = Api::start(quick()).await;
    api.set_faults(&json!([
        {"operation": "create", "kind": "status", "status": 503, "times": 1, "headers": {"retry-after": "7"}},
        {"operation": "create", "kind": "status", "status": 502, "times": 1, "body": "<html>Bad gateway</html>"},
    ]))
    .await;
    let response = create(&api).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "7");
    let error = body(response).await;
    assert_eq!(error["statusCode"], 503);
    assert_eq!(error["path"], CREATE);
    let response = create(&api).await.unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(response.text().await.unwrap(), "<html>Bad gateway</html>");
    assert_eq!(accepted(&api).await, 0);
    assert_eq!(create(&api).await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_status_after_acceptance_hides_a_job_that_exists() {
    let api = Api::start(quick()).await;
    api.set_faults(&json!({"operation": "create", "kind": "status_after", "status": 500}))
        .await;
    assert_eq!(create(&api).await.unwrap().status(), 500);
    assert_eq!(accepted(&api).await, 1);
}

#[tokio::test]
async fn a_connection_breaks_before_or_after_the_job_is_accepted() {
    let api = Api::start(quick()).await;
    for (kind, jobs) in [("drop_before", 0), ("drop_after", 1)] {
        api.set_faults(&json!({"operation": "create", "kind": kind, "times": 1}))
            .await;
        let error = create(&api).await.unwrap_err();
        assert!(!error.is_timeout() && error.is_request(), "{error:?}");
        assert_eq!(accepted(&api).await, jobs);
        let ledger = api.ledger().await;
        let create = ledger["requests"].as_array().unwrap().last().unwrap();
        assert_eq!(create["status"], Value::Null);
        assert_eq!(create["severed"], true);
        assert_eq!(create["completed"], true);
    }
    assert_eq!(create(&api).await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_delay_holds_the_answer_back() {
    let api = Api::start(quick()).await;
    api.set_faults(&json!({"operation": "any", "kind": "delay", "milliseconds": 150}))
        .await;
    let begun = Instant::now();
    assert_eq!(create(&api).await.unwrap().status(), 201);
    assert!(begun.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn the_end_of_a_job_shows_only_after_a_lag() {
    let api = Api::start(quick()).await;
    let done = api.create_synthetic(&json!({})).await;
    let failed = json!({"audio_url": "http://127.0.0.1:1/a.wav"});
    let failed = api.create(&failed).await;
    for (id, status) in [(done, "done"), (failed, "error")] {
        api.wait_until_ended(&id).await;
        let lag = json!({"operation": "get", "kind": "lag", "milliseconds": 3_600_000, "times": 1});
        api.set_faults(&lag).await;
        let path = format!("/v2/pre-recorded/{id}");
        let behind = api.get(&path).await;
        assert_eq!(behind["status"], "processing");
        for field in ["completed_at", "error_code", "result"] {
            assert_eq!(behind[field], Value::Null, "{field}");
        }
        assert_eq!(api.get(&path).await["status"], status);
    }
}

#[tokio::test]
async fn faults_are_for_the_requests_that_they_match_and_can_be_removed() {
    let api = Api::start(quick()).await;
    api.set_faults(&json!([
        {"operation": "create", "kind": "status", "status": 500, "match": "needle"},
        {"operation": "get", "kind": "status", "status": 500},
        {"operation": "list", "kind": "status", "status": 501},
        {"operation": "upload", "kind": "status", "status": 502},
        {"operation": "delete", "kind": "status", "status": 503},
        {"operation": "file", "kind": "status", "status": 504},
    ]))
    .await;
    assert_eq!(create(&api).await.unwrap().status(), 201);
    let needle =
        json!({"audio_url": "https://audio.example/1.wav", "custom_metadata": {"a": "needle"}});
    assert_eq!(api.post(&needle).await.status(), 500);
    let one = "/v2/pre-recorded/b7d3f0aa-6a55-4c0e-9d58-0f6a0e2f4c11";
    let file = format!("{one}/file");
    for (method, path, status) in [
        (Method::GET, one, 500),
        (Method::GET, CREATE, 501),
        (Method::POST, "/v2/upload", 502),
        (Method::DELETE, one, 503),
        (Method::GET, &file, 504),
    ] {
        let response = api.request(method, path).send().await.unwrap();
        assert_eq!(response.status(), status);
    }
    let control = "/_simulator/faults";
    let shown = body(api.bare(Method::GET, control).send().await.unwrap()).await;
    assert_eq!(shown[0]["match"], "needle");
    assert_eq!(shown[0]["kind"], "status");
    let cleared = api.bare(Method::DELETE, control).send().await.unwrap();
    assert_eq!(cleared.status(), 204);
    assert_eq!(api.post(&needle).await.status(), 201);
    let nonsense = json!({"operation": "create", "kind": "lose"});
    let request = api.bare(Method::PUT, control).json(&nonsense);
    assert_eq!(request.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_lost_callback_is_never_sent_and_can_be_sent_by_hand() {
    let api = Api::start(quick()).await;
    let mut receiver = Receiver::start().await;
    api.set_faults(&json!({"operation": "callback", "kind": "lose"}))
        .await;
    let id = api
        .create_synthetic(&json!({"callback_url": receiver.url}))
        .await;
    let entry = api.after_callbacks(&id, 1).await;
    assert_eq!(entry["callbacks"][0]["status"], Value::Null);
    assert!(receiver.is_empty());
    let path = format!("/_simulator/jobs/{id}/callback");
    api.bare(Method::POST, &path).send().await.unwrap();
    assert_eq!(receiver.next().await.body["id"], *id);
}

#[tokio::test]
async fn a_callback_is_sent_twice_or_late() {
    let api = Api::start(quick()).await;
    let mut receiver = Receiver::start().await;
    api.set_faults(&json!([
        {"operation": "callback", "kind": "duplicate"},
        {"operation": "callback", "kind": "delay", "milliseconds": 100},
    ]))
    .await;
    let begun = Instant::now();
    let id = api
        .create_synthetic(&json!({"callback_url": receiver.url}))
        .await;
    assert_eq!(receiver.next().await.body["id"], *id);
    assert!(begun.elapsed() >= Duration::from_millis(100));
    assert_eq!(receiver.next().await.body["id"], *id);
    assert_eq!(
        api.after_callbacks(&id, 2).await["callbacks"][1]["attempt"],
        1
    );
}
