//! Gladia's error envelope, and what its answers mean to a caller of ours.

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use serde::Deserialize;
use serde_json::Value;

/// Error bodies are small; whatever is longer is no envelope.
const MAX_ERROR_BODY_BYTES: usize = 256 * 1024;

/// The envelope of every error that Gladia's application answers. An answer without it comes from something in front of
/// it, and proves nothing.
#[derive(Debug, Deserialize)]
pub struct ErrorEnvelope {
    /// Repeats the HTTP status.
    #[serde(rename = "statusCode")]
    pub status_code: u16,
    /// For people.
    pub message: String,
    /// What to quote to Gladia's support.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Class-validator sentences, or objects in some versions.
    #[serde(default)]
    pub validation_errors: Vec<Value>,
}

impl ErrorEnvelope {
    /// Reads an envelope, if this is one.
    #[must_use]
    pub fn parse(status: u16, body: &[u8]) -> Option<Self> {
        let envelope: Self = serde_json::from_slice(body).ok()?;
        (envelope.status_code == status).then_some(envelope)
    }

    /// Whether Gladia has no such route, as for an address that is wrong. It says nothing then of whatever the address names.
    /// (Contract, section 1: an unknown route is a 404 whose message is `Cannot POST /v2/…`.)
    #[must_use]
    pub fn knows_no_route(&self) -> bool {
        matches!(self.status_code, 404 | 405) && self.message.starts_with("Cannot ")
    }

    /// Message, validation errors and request id in one line, and what to look at where it is not Gladia that is to be asked.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = self.message.trim().to_owned();
        for error in &self.validation_errors {
            text.push_str("; ");
            match error {
                Value::String(sentence) => text.push_str(sentence),
                other => text.push_str(&other.to_string()),
            }
        }
        if let Some(id) = &self.request_id {
            text.push_str(" (Gladia request ");
            text.push_str(id);
            text.push(')');
        }
        if self.knows_no_route() {
            text.push_str("; GLADIA_API_URL may be wrong");
        }
        storable(&text)
    }
}

/// Text that Postgres can store, of a bounded length.
#[must_use]
pub fn storable(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\0' { '\u{fffd}' } else { c })
        .take(4000)
        .collect()
}

/// Reads a body up to a limit. `None` where it is longer or breaks off.
pub(super) async fn read_limited(response: &mut Response, limit: usize) -> Option<Bytes> {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= limit => body.extend_from_slice(&chunk),
            Ok(Some(_)) | Err(_) => return None,
            Ok(None) => return Some(body.freeze()),
        }
    }
}

/// Why a call other than create failed.
#[derive(Debug, thiserror::Error)]
pub enum GladiaError {
    /// Gladia refused it in its envelope, and would again.
    #[error("Gladia refused the request ({status}): {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Gladia's message.
        message: String,
    },
    /// Gladia refuses the gateway's key.
    #[error("Gladia refused the gateway's key ({status})")]
    KeyRefused {
        /// HTTP status.
        status: u16,
    },
    /// It cannot be had at the moment.
    #[error("Gladia cannot be reached or failed: {0}")]
    Unavailable(String),
    /// It took longer than it may.
    #[error("Gladia did not answer in time")]
    Timeout,
    /// The answer is not what the contract says.
    #[error("Gladia answered something unexpected: {0}")]
    Unexpected(String),
}

impl GladiaError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Timeout | Self::KeyRefused { .. }
        )
    }

    /// Reads what a response that is no success means.
    pub(super) async fn from_response(mut response: Response) -> Self {
        let status = response.status().as_u16();
        let body = read_limited(&mut response, MAX_ERROR_BODY_BYTES)
            .await
            .unwrap_or_default();
        match ErrorEnvelope::parse(status, &body) {
            Some(_) if matches!(status, 401 | 403) => Self::KeyRefused { status },
            Some(envelope) if status == 429 || status == 408 || status >= 500 => {
                Self::Unavailable(format!("{status}: {}", envelope.describe()))
            }
            Some(envelope) if envelope.knows_no_route() => {
                Self::Unexpected(format!("{status}: {}", envelope.describe()))
            }
            Some(envelope) if status >= 400 => Self::Refused {
                status,
                message: envelope.describe(),
            },
            None if status == 413 => Self::Refused {
                status,
                message: "the file is larger than Gladia accepts".to_owned(),
            },
            _ if status >= 400 => {
                Self::Unavailable(format!("{status} without Gladia's error envelope"))
            }
            _ => Self::Unexpected(format!("status {status}")),
        }
    }

    /// Reads what a request that got no response means.
    pub(super) fn from_transport(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Unavailable(describe_transport(error))
        }
    }
}

/// The causes of a transport error, without the URL.
pub(super) fn describe_transport(error: &dyn std::error::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !parts.contains(&text) {
            parts.push(text);
        }
        source = cause.source();
    }
    if parts.is_empty() {
        "the connection failed".to_owned()
    } else {
        storable(&parts.join(": "))
    }
}

pub(super) const fn max_error_body_bytes() -> usize {
    MAX_ERROR_BODY_BYTES
}
