//! Callbacks that are cut.

use axum::http::Method;
use serde_json::{Value, json};

use super::support::{Api, Receiver, body, quick};

async fn count(api: &Api, name: &str) -> u64 {
    api.ledger().await["counts"][name].as_u64().unwrap()
}

async fn resend(api: &Api, id: &str) {
    let path = format!("/_simulator/jobs/{id}/callback");
    let response = api.bare(Method::POST, &path).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_truncated_callback_is_a_complete_request_and_counts_as_delivered() {
    let api = Api::start(quick()).await;
    let mut receiver = Receiver::start().await;
    api.set_faults(&json!({"operation": "callback", "kind": "truncate"}))
        .await;
    let id = api
        .create_synthetic(&json!({"callback_url": receiver.url}))
        .await;
    let half = receiver.next().await;
    assert_eq!(half.body, Value::Null);
    assert_eq!(
        half.headers["content-length"],
        half.bytes.len().to_string().as_str()
    );
    api.after_callbacks(&id, 1).await;
    resend(&api, &id).await;
    let whole = receiver.next().await;
    assert_eq!(whole.body["id"], *id);
    assert_eq!(whole.bytes[..whole.bytes.len() / 2], half.bytes);
    let callbacks = api.after_callbacks(&id, 2).await["callbacks"].take();
    assert_eq!(callbacks.as_array().unwrap().len(), 2);
    assert_eq!(callbacks[0]["status"], 200);
    assert_eq!(callbacks[0]["note"], "truncated by a fault");
    assert_eq!(count(&api, "callbacks_truncated").await, 1);
    assert_eq!(count(&api, "callbacks_delivered").await, 2);
}

#[tokio::test]
async fn a_truncated_callback_that_is_refused_is_sent_again() {
    let api = Api::start(quick()).await;
    let mut receiver = Receiver::start().await;
    receiver.answer(400);
    api.set_faults(&json!({"operation": "callback", "kind": "truncate", "times": 1}))
        .await;
    let id = api
        .create_synthetic(&json!({"callback_url": receiver.url}))
        .await;
    assert_eq!(receiver.next().await.body, Value::Null);
    receiver.answer(200);
    assert_eq!(receiver.next().await.body["id"], *id);
}

#[tokio::test]
async fn a_callback_that_breaks_off_is_sent_again() {
    let api = Api::start(quick()).await;
    let mut receiver = Receiver::start().await;
    api.set_faults(&json!({"operation": "callback", "kind": "break", "times": 2}))
        .await;
    let id = api
        .create_synthetic(&json!({"callback_url": receiver.url}))
        .await;
    // The receiver takes whole bodies only, so that the first it sees is the third that was sent.
    assert_eq!(receiver.next().await.body["id"], *id);
    let entry = api.after_callbacks(&id, 3).await;
    assert_eq!(entry["callbacks"][0]["note"], "broken by a fault");
    assert_eq!(entry["callbacks"][2]["status"], 200);
    assert!(receiver.is_empty());
    assert_eq!(count(&api, "callbacks_delivered").await, 1);
}

#[tokio::test]
async fn faults_with_a_probability_happen_now_and_then_and_are_shown() {
    let api = Api::start(crate::dev_tools::simulator::SimulatorSettings {
        seed: Some(3),
        ..quick()
    })
    .await;
    let fault = json!({"operation": "create", "kind": "status", "status": 503, "probability": 0.5});
    api.set_faults(&fault).await;
    let shown = api.bare(Method::GET, "/_simulator/faults").send().await;
    assert_eq!(body(shown.unwrap()).await[0]["probability"], 0.5);
    let mut rounds = Vec::new();
    for _ in 0..2 {
        let mut statuses = Vec::new();
        for _ in 0..12 {
            let create = json!({"audio_url": "https://audio.example/1.wav"});
            statuses.push(api.post(&create).await.status().as_u16());
        }
        assert!(statuses.contains(&503) && statuses.contains(&201));
        rounds.push(statuses);
        // The dice are thrown anew, and the same way.
        let reset = api.bare(Method::POST, "/_simulator/reset").send().await;
        assert_eq!(reset.unwrap().status(), 204);
        api.set_faults(&fault).await;
    }
    assert_eq!(rounds[0], rounds[1]);
}
