//! Lists that do not show everything, or more than was asked for.

use serde_json::{Value, json};

use super::support::{Api, slow};

async fn ids(api: &Api, query: &str) -> Vec<String> {
    let page = api.get(&format!("/v2/pre-recorded{query}")).await;
    let items = page["items"].as_array().unwrap_or_else(|| panic!("{page}"));
    let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
    items.iter().map(id).collect()
}

#[tokio::test]
async fn jobs_show_only_after_a_lag() {
    let api = Api::start(slow()).await;
    let id = api.create_synthetic(&json!({})).await;
    let lag = |milliseconds: u32| json!({"operation": "list", "kind": "lag", "milliseconds": milliseconds});
    api.set_faults(&lag(3_600_000)).await;
    assert!(ids(&api, "").await.is_empty());
    assert_eq!(api.get(&format!("/v2/pre-recorded/{id}")).await["id"], *id);
    api.set_faults(&lag(1)).await;
    assert_eq!(ids(&api, "").await, [id.as_str()]);
}

#[tokio::test]
async fn jobs_are_left_out_by_audio_metadata_or_altogether() {
    let api = Api::start(slow()).await;
    let by_url = api
        .create(&json!({"audio_url": "https://audio.example/needle.wav"}))
        .await;
    let by_metadata = api
        .create_synthetic(&json!({"custom_metadata": {"attempt": "needle-7"}}))
        .await;
    let other = api.create_synthetic(&json!({})).await;
    let omit = |text: &str| json!({"operation": "list", "kind": "omit", "job": text});
    api.set_faults(&omit("needle")).await;
    assert_eq!(ids(&api, "").await, [other.as_str()]);
    api.set_faults(&omit(r#"{"attempt":"needle-7"}"#)).await;
    assert_eq!(ids(&api, "").await, [other.as_str(), &by_url]);
    api.set_faults(&json!({"operation": "list", "kind": "omit", "times": 1}))
        .await;
    assert!(ids(&api, "").await.is_empty());
    assert_eq!(ids(&api, "").await, [other, by_metadata, by_url]);
    let counts = api.ledger().await["counts"].take();
    assert_eq!(counts["list_pages"], 4);
    assert_eq!(counts["faults_applied"], 3);
}

#[tokio::test]
async fn a_page_keeps_the_places_of_jobs_that_it_does_not_show() {
    let api = Api::start(slow()).await;
    let mut created = Vec::new();
    for number in 0..3 {
        let url = format!("https://audio.example/{number}.wav");
        created.push(api.create(&json!({ "audio_url": url })).await);
    }
    let fault = json!({"operation": "list", "kind": "short_page", "job": "/1.wav"});
    api.set_faults(&fault).await;
    assert_eq!(ids(&api, "?limit=2").await, [created[2].as_str()]);
    assert_eq!(ids(&api, "?limit=2&offset=2").await, [created[0].as_str()]);
    api.set_faults(&json!({"operation": "list", "kind": "short_page"}))
        .await;
    let page = api.get("/v2/pre-recorded?limit=2").await;
    assert_eq!(page["items"], json!([]));
    assert_eq!(page["next"], api.url("/v2/pre-recorded?offset=2&limit=2"));
}

#[tokio::test]
async fn a_filter_by_metadata_is_ignored_in_one_encoding_or_in_both() {
    let api = Api::start(slow()).await;
    let wanted = api
        .create_synthetic(&json!({"custom_metadata": {"n": "1"}}))
        .await;
    let other = api.create_synthetic(&json!({})).await;
    let (brackets, json) = (
        "?custom_metadata[n]=1",
        "?custom_metadata=%7B%22n%22%3A1%7D",
    );
    let all = vec![other, wanted.clone()];
    let one = vec![wanted];
    for (encoding, by_brackets, by_json) in [
        (json!("brackets"), &all, &one),
        (json!("json"), &one, &all),
        (Value::Null, &all, &all),
    ] {
        let mut fault = json!({"operation": "list", "kind": "ignore_metadata"});
        if !encoding.is_null() {
            fault["encoding"] = encoding;
        }
        api.set_faults(&fault).await;
        assert_eq!(ids(&api, brackets).await, *by_brackets, "{fault}");
        assert_eq!(ids(&api, json).await, *by_json, "{fault}");
    }
    // As if it were not there: nonsense in it is not noticed, and links do not repeat it.
    let page = api
        .get("/v2/pre-recorded?custom_metadata=nonsense&limit=1")
        .await;
    assert_eq!(page["next"], api.url("/v2/pre-recorded?offset=1&limit=1"));
}
