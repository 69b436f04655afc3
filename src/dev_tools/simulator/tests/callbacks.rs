//! Callbacks of jobs and webhooks of the account.

use axum::http::Method;
use serde_json::{Value, json};

use super::support::{Api, Receiver, quick};
use crate::dev_tools::simulator::{SimulatorSettings, WebhookSettings};

#[tokio::test]
async fn the_callback_brings_the_result_itself() {
    let api = Api::start(quick()).await;
    let mut receiver = Receiver::start().await;
    let uploaded = api.upload_recording().await;
    let id = api
        .create(&json!({
            "audio_url": uploaded["audio_url"],
            "callback": true, "callback_config": {"url": receiver.url},
            "custom_metadata": {"order": 7},
        }))
        .await;
    let sent = receiver.next().await;
    assert_eq!(sent.method, Method::POST);
    assert_eq!(sent.headers["user-agent"], "axios/1.18.1");
    assert_eq!(sent.headers["content-type"], "application/json");
    assert_eq!(sent.body["id"], *id);
    assert_eq!(sent.body["event"], "transcription.success");
    assert_eq!(sent.body["custom_metadata"], json!({"order": 7}));
    let job = api.get(&format!("/v2/pre-recorded/{id}")).await;
    assert_eq!(sent.body["payload"], job["result"]);
    assert_eq!(job["request_params"]["callback_config"]["method"], "POST");
    assert_eq!(job["request_params"].get("custom_metadata"), None);
    let entry = api.after_callbacks(&id, 1).await;
    assert_eq!(entry["callbacks"][0]["status"], 200);
    assert_eq!(
        entry["request_body"]["custom_metadata"],
        json!({"order": 7})
    );
}

#[tokio::test]
async fn an_error_is_called_back_with_its_text_and_by_the_method_asked_for() {
    let api = Api::start(quick()).await;
    let mut receiver = Receiver::start().await;
    let id = api
        .create(&json!({
            "audio_url": "http://127.0.0.1:1/a.wav",
            "callback": true, "callback_config": {"url": receiver.url, "method": "PUT"},
        }))
        .await;
    let sent = receiver.next().await;
    assert_eq!(sent.method, Method::PUT);
    assert_eq!(
        sent.body,
        json!({
            "id": id, "event": "transcription.error",
            "error": {"code": 400, "message": "Failed to download or upload the input file"},
        })
    );
}

#[tokio::test]
async fn a_callback_is_repeated_until_it_is_taken() {
    let api = Api::start(quick()).await;
    let mut receiver = Receiver::start().await;
    receiver.answer(500);
    let id = api
        .create_synthetic(&json!({"callback_url": receiver.url}))
        .await;
    receiver.next().await;
    receiver.next().await;
    receiver.answer(204);
    receiver.next().await;
    let entry = api.after_callbacks(&id, 3).await;
    let attempts = entry["callbacks"].as_array().unwrap();
    let last = attempts.last().unwrap();
    assert_eq!(last["status"], 204);
    assert_eq!(last["attempt"], attempts.len());

    let path = format!("/_simulator/jobs/{id}/callback");
    let response = api.bare(Method::POST, &path).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let record: Value = response.json().await.unwrap();
    assert_eq!(record["status"], 204);
}

#[tokio::test]
async fn a_redirect_takes_nothing_and_is_not_followed() {
    let mut receiver = Receiver::start().await;
    receiver.answer(302);
    let api = Api::start(SimulatorSettings {
        webhook: Some(WebhookSettings {
            url: receiver.url.replace("/hook", "/webhook").parse().unwrap(),
            secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
        }),
        callback_attempts: 2,
        ..quick()
    })
    .await;
    let id = api
        .create_synthetic(&json!({"callback_url": receiver.url}))
        .await;
    // Two webhooks and a callback, each of them twice.
    for _ in 0..6 {
        assert_eq!(receiver.next().await.method, Method::POST);
    }
    let entry = api.after_callbacks(&id, 2).await;
    assert_eq!(entry["callbacks"][0]["status"], 302);
    let counts = api.ledger().await["counts"].take();
    assert_eq!(counts["callbacks_delivered"], 0);
}

#[tokio::test]
async fn a_configuration_without_the_flag_calls_nobody_back() {
    let api = Api::start(quick()).await;
    let receiver = Receiver::start().await;
    let id = api
        .create_synthetic(&json!({"callback_config": {"url": receiver.url}}))
        .await;
    api.wait_until_ended(&id).await;
    let path = format!("/_simulator/jobs/{id}/callback");
    let response = api.bare(Method::POST, &path).send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert!(receiver.is_empty());
}

#[tokio::test]
async fn the_account_is_told_about_every_job_in_signed_webhooks() {
    let mut receiver = Receiver::start().await;
    let api = Api::start(SimulatorSettings {
        webhook: Some(WebhookSettings {
            url: receiver.url.parse().unwrap(),
            secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
        }),
        ..quick()
    })
    .await;
    let id = api.create_synthetic(&json!({})).await;
    let mut events = Vec::new();
    for _ in 0..2 {
        let sent = receiver.next().await;
        assert_eq!(sent.body["payload"], json!({"id": id}));
        assert!(
            sent.headers["svix-signature"]
                .to_str()
                .unwrap()
                .starts_with("v1,")
        );
        assert!(sent.headers.contains_key("svix-id"));
        assert!(sent.headers.contains_key("svix-timestamp"));
        events.push(sent.body["event"].as_str().unwrap().to_owned());
    }
    events.sort();
    assert_eq!(events, ["transcription.created", "transcription.success"]);
}
