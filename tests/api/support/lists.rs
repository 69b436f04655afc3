//! Jobs to be listed, and lists of them.

use serde_json::{Value, json};

use super::{Answer, TestApp};

/// A page of `acme`'s jobs.
pub async fn list(app: &TestApp, query: &str) -> Answer {
    app.acme.get(&format!("/v1/transcriptions?{query}")).await
}

/// Asks for a job with metadata, and gives its id.
pub async fn start_with(app: &TestApp, metadata: Value) -> String {
    let body = json!({ "audio_url": "https://audio.example/a.mp3", "custom_metadata": metadata });
    let job = app.acme.transcribe(&body).await.expect(202);
    job["id"].as_str().unwrap().to_owned()
}

/// The ids on a page, in their order.
pub fn ids(page: &Value) -> Vec<String> {
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| job["id"].as_str().unwrap().to_owned())
        .collect()
}
