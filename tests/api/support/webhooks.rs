//! Account webhooks that a test sends itself.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use uuid::Uuid;

use super::{Answer, TestApp, builder::WEBHOOK_SECRET, eventually};

/// A message as Svix sends it.
pub struct Message {
    /// Svix's id of it.
    pub id: String,
    /// What it is signed with.
    pub secret: &'static str,
    /// How long ago it was signed.
    pub seconds_ago: i64,
    /// What it says.
    pub body: String,
}

impl Message {
    /// One that says that this happened to a job of Gladia's.
    pub fn new(event: &str, gladia_id: &str) -> Self {
        Self {
            id: format!("msg_{}", Uuid::now_v7().simple()),
            secret: WEBHOOK_SECRET,
            seconds_ago: 0,
            body: json!({ "event": event, "payload": { "id": gladia_id } }).to_string(),
        }
    }

    /// Sends it.
    pub async fn send(&self, app: &TestApp) -> Answer {
        let now: i64 = app
            .scalar("SELECT extract(epoch FROM gateway_now())::bigint")
            .await;
        let timestamp = now - self.seconds_ago;
        let key = BASE64_STANDARD
            .decode(self.secret.strip_prefix("whsec_").unwrap())
            .unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{timestamp}.{}", self.id, self.body).as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        let request = app
            .http
            .post(format!("{}/webhooks/gladia", app.replicas[0].base))
            .header("svix-id", &self.id)
            .header("svix-timestamp", timestamp)
            .header("svix-signature", format!("v1,AAAA v1,{signature}"))
            .body(self.body.clone());
        Answer::to(request).await
    }
}

impl TestApp {
    /// What came of the messages about Gladia's jobs, in their order.
    pub async fn webhook_outcomes(&self) -> Vec<(String, String)> {
        sqlx::query_as(
            "SELECT substr(event, length('transcription.') + 1), coalesce(outcome, 'due') FROM webhook_messages
             ORDER BY event, received_at",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// Waits until this came of the messages.
    pub async fn wait_for_webhooks(&self, expected: &[(&str, &str)]) {
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(event, outcome)| ((*event).to_owned(), (*outcome).to_owned()))
            .collect();
        eventually(&format!("messages with {expected:?}"), async || {
            (self.webhook_outcomes().await == expected).then_some(())
        })
        .await;
    }
}
