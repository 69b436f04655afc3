//! Sends messages.

use std::time::{Duration, Instant};

use reqwest::{Client, header::CONTENT_TYPE, redirect::Policy};

use super::message::{Message, SendError, SendErrorCode, Sent};
use crate::domain::delivery::CallbackMethod;

/// How long a receiver has to answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Sends messages to receivers. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Notifier {
    http: Client,
}

impl Notifier {
    /// Makes one.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new() -> reqwest::Result<Self> {
        let http = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self { http })
    }

    /// Sends a message once.
    pub async fn send(&self, message: &Message) -> Sent {
        let started = Instant::now();
        let request = match message.method {
            CallbackMethod::Post => self.http.post(message.url.clone()),
            CallbackMethod::Put => self.http.put(message.url.clone()),
        };
        let sent = request
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &message.id)
            .body(message.body.clone())
            .send()
            .await;
        let (http_status, error) = match sent {
            Ok(answer) if answer.status().is_success() => (Some(answer.status().as_u16()), None),
            Ok(answer) => (
                Some(answer.status().as_u16()),
                Some(SendError {
                    code: SendErrorCode::HttpStatus,
                    detail: format!("answered {}", answer.status()),
                }),
            ),
            Err(error) => (
                None,
                Some(SendError {
                    code: SendErrorCode::Connection,
                    detail: error.without_url().to_string(),
                }),
            ),
        };
        Sent {
            duration: started.elapsed(),
            http_status,
            retry_after: None,
            response_start: None,
            error,
        }
    }
}
