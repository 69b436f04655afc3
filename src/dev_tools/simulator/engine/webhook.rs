//! The account's webhook: told about every job, with nothing but its id, signed as Svix does.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use uuid::Uuid;

use crate::dev_tools::simulator::{clock, guard, settings::WebhookSettings, state::State};

/// Sends an event in the background. Each repetition carries the same message id.
pub(super) fn tell(state: &Arc<State>, event: &'static str, id: Uuid) {
    let Some(webhook) = state.settings.webhook.clone() else {
        return;
    };
    let state = Arc::clone(state);
    let stop = state.stop.clone();
    state.tasks.clone().spawn(async move {
        stop.run_until_cancelled(send(&state, &webhook, event, id))
            .await;
    });
}

async fn send(state: &State, webhook: &WebhookSettings, event: &str, id: Uuid) {
    if !state.settings.allow_private && guard::refuses(&webhook.url) {
        tracing::warn!("The simulator's webhook address is not public, so nothing is sent to it");
        return;
    }
    let body = json!({"event": event, "payload": {"id": id}}).to_string();
    let message_id = format!("msg_{}", Uuid::new_v4().simple());
    let mut backoff = state.settings.callback_backoff;
    for _ in 0..state.settings.callback_attempts {
        let timestamp = clock::now().timestamp().to_string();
        let signature = sign(&webhook.secret, &message_id, &timestamp, &body);
        state.store().ledger.counts.webhooks_sent += 1;
        let answer = state
            .sender
            .post(webhook.url.clone())
            .timeout(guard::WEBHOOK_TIMEOUT)
            .header("content-type", "application/json")
            .header("user-agent", "Svix-Webhooks/1.0")
            .header("svix-id", &message_id)
            .header("svix-timestamp", timestamp)
            .header("svix-signature", signature)
            .body(body.clone())
            .send()
            .await;
        if answer.is_ok_and(|response| response.status().is_success()) {
            return;
        }
        tokio::time::sleep(backoff).await;
        backoff *= 2;
    }
}

/// `v1,` and the HMAC-SHA256 of id, timestamp and body, by the secret behind `whsec_`.
fn sign(secret: &str, id: &str, timestamp: &str, body: &str) -> String {
    let secret = secret.strip_prefix("whsec_").unwrap_or(secret);
    // A secret that is not base64 is used as it is, so that a typing error shows as a wrong signature.
    let key = BASE64_STANDARD
        .decode(secret)
        .unwrap_or_else(|_| secret.as_bytes().to_vec());
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_svix_documentation() {
        // The published example of the Svix libraries.
        let signature = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
