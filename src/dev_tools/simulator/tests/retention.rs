//! Results: their exact bytes, and an account that retains nothing.

use axum::http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::support::{Api, Receiver, body, quick, wav};
use crate::dev_tools::simulator::SimulatorSettings;

async fn zero_data_retention() -> Api {
    Api::start(SimulatorSettings {
        zero_data_retention: true,
        ..quick()
    })
    .await
}

fn hex(bytes: &[u8]) -> String {
    let digit = |hex: String, byte: &u8| hex + &format!("{byte:02x}");
    Sha256::digest(bytes).iter().fold(String::new(), digit)
}

async fn result(api: &Api, id: &str) -> reqwest::Response {
    let path = format!("/_simulator/jobs/{id}/result");
    api.bare(Method::GET, &path).send().await.unwrap()
}

#[tokio::test]
async fn a_result_is_given_byte_for_byte_and_by_its_hash() {
    let api = Api::start(quick()).await;
    let mut receiver = Receiver::start().await;
    let id = api
        .create_synthetic(&json!({"callback_url": receiver.url}))
        .await;
    let sent = receiver.next().await;
    let response = result(&api, &id).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let bytes = response.bytes().await.unwrap();
    let contained = |whole: &[u8]| whole.windows(bytes.len()).any(|part| part == bytes);
    assert!(contained(&sent.bytes));
    let job = api.request(Method::GET, &format!("/v2/pre-recorded/{id}"));
    assert!(contained(&job.send().await.unwrap().bytes().await.unwrap()));
    let entry = api.after_callbacks(&id, 1).await;
    assert_eq!(entry["result_sha256"], hex(&bytes));
}

#[tokio::test]
async fn what_is_not_done_has_no_result() {
    let api = Api::start(quick()).await;
    let failed = api
        .create(&json!({"audio_url": "http://127.0.0.1:1/a.wav"}))
        .await;
    api.wait_until_ended(&failed).await;
    let entry = api.after_callbacks(&failed, 0).await;
    assert_eq!(entry["result_sha256"], Value::Null);
    for id in [failed.as_str(), "b7d3f0aa-6a55-4c0e-9d58-0f6a0e2f4c11"] {
        let response = result(&api, id).await;
        assert_eq!(response.status(), 404);
        assert!(body(response).await["error"].is_string());
    }
}

#[tokio::test]
async fn without_retention_nothing_can_be_looked_at() {
    let api = zero_data_retention().await;
    let id = api.create_synthetic(&json!({})).await;
    let one = format!("/v2/pre-recorded/{id}");
    let file = format!("{one}/file");
    for (method, path) in [
        (Method::GET, one.as_str()),
        (Method::GET, &file),
        (Method::GET, "/v2/pre-recorded"),
        (Method::DELETE, &one),
    ] {
        let response = api.request(method, path).send().await.unwrap();
        assert_eq!(response.status(), 403, "{path}");
        let error = body(response).await;
        assert_eq!(error["statusCode"], 403);
        assert_eq!(error["path"], path);
    }
    let tone = wav(8000, 1, std::iter::repeat_n(vec![0], 8000));
    assert_eq!(api.upload(tone, "a.wav").await.status(), 403);
    let bare = api.bare(Method::GET, &one).send().await.unwrap();
    assert_eq!(bare.status(), 401);
}

#[tokio::test]
async fn without_retention_a_result_lives_until_its_callback_was_answered_with_2xx() {
    let api = Api::start(SimulatorSettings {
        zero_data_retention: true,
        callback_attempts: 1,
        ..quick()
    })
    .await;
    let receiver = Receiver::start().await;
    receiver.answer(503);
    let id = api
        .create_synthetic(&json!({"callback_url": receiver.url}))
        .await;
    let entry = api.after_callbacks(&id, 1).await;
    assert_eq!(entry["callbacks"][0]["status"], 503);
    assert_eq!(result(&api, &id).await.status(), 200);
    receiver.answer(200);
    let path = format!("/_simulator/jobs/{id}/callback");
    let resend = async || api.bare(Method::POST, &path).send().await.unwrap();
    assert_eq!(body(resend().await).await["status"], 200);
    assert_eq!(result(&api, &id).await.status(), 404);
    assert_eq!(resend().await.status(), 404);
    let entry = api.after_callbacks(&id, 2).await;
    assert_eq!(entry["result_sha256"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn without_retention_a_truncated_callback_that_is_taken_loses_the_result() {
    let api = zero_data_retention().await;
    let receiver = Receiver::start().await;
    api.set_faults(&json!({"operation": "callback", "kind": "truncate"}))
        .await;
    let id = api
        .create_synthetic(&json!({"callback_url": receiver.url}))
        .await;
    api.after_callbacks(&id, 1).await;
    assert_eq!(result(&api, &id).await.status(), 404);
}
