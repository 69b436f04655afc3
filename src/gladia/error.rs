//! Gladia's error envelope, and what its answers mean to a caller of ours.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    retry_after::retry_after,
    said::{storable, tellable, without_key},
};
use crate::domain::plain_json;

/// Error bodies are small; whatever is longer is no envelope.
pub(super) const MAX_ERROR_BODY_BYTES: usize = 256 * 1024;

/// The envelope of every error that Gladia's application answers. An answer without it comes from something in front of
/// it, and proves nothing.
#[derive(Debug)]
pub struct ErrorEnvelope {
    /// Repeats the HTTP status.
    pub status_code: u16,
    /// For people.
    pub message: String,
    /// The sentences that the message is made of: it may come as a list.
    pub sentences: Vec<String>,
    /// What to quote to Gladia's support.
    pub request_id: Option<String>,
    /// Class-validator sentences, or whatever else stands there.
    pub validation_errors: Vec<String>,
}

/// What makes an object an envelope, and what else is told of it. A field of another kind than usual is shown as it is.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "statusCode")]
    status_code: u16,
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(borrow, default)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    validation_errors: Option<&'a RawValue>,
}

impl ErrorEnvelope {
    /// Reads an envelope, if this is one.
    #[must_use]
    pub fn parse(status: u16, body: &[u8]) -> Option<Self> {
        if !body.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        let wire = serde_json::from_slice::<Wire<'_>>(body).ok()?;
        if wire.status_code != status || wire.message.get() == "null" {
            return None;
        }
        let sentences_of_message = sentences(wire.message);
        Some(Self {
            status_code: status,
            message: sentences_of_message.join("; "),
            sentences: sentences_of_message,
            request_id: wire
                .request_id
                .and_then(|id| serde_json::from_str::<String>(id.get()).ok()),
            validation_errors: wire.validation_errors.map(sentences).unwrap_or_default(),
        })
    }

    /// Whether Gladia has no such route, as for an address that is wrong. It says nothing then of whatever the address names.
    /// (Contract, section 1: an unknown route is a 404 whose message is `Cannot POST /v2/…`.)
    #[must_use]
    pub fn knows_no_route(&self) -> bool {
        let what = self.message.strip_prefix("Cannot ");
        let names_route =
            what.and_then(|what| what.split_once(' '))
                .is_some_and(|(method, path)| {
                    matches!(method, "GET" | "POST" | "DELETE") && path.starts_with('/')
                });
        matches!(self.status_code, 404 | 405) && names_route
    }

    /// Message, validation errors and request id in one line, and what to look at where it is not Gladia that is to be asked:
    /// [`tellable`].
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = self.message.trim().to_owned();
        for error in &self.validation_errors {
            text.push_str("; ");
            text.push_str(error);
        }
        if let Some(id) = &self.request_id {
            text.push_str(" (Gladia request ");
            text.push_str(id);
            text.push(')');
        }
        if self.knows_no_route() {
            text.push_str("; GLADIA_API_URL may be wrong");
        }
        tellable(&text)
    }
}

/// What a value says: a string itself, each item of a list, anything else as the JSON that it is.
pub(super) fn sentences(value: &RawValue) -> Vec<String> {
    let sentence = |value: Value| match value {
        Value::String(sentence) => sentence,
        other => other.to_string(),
    };
    match plain_json::from_str(value.get()) {
        Ok(Value::Null) => Vec::new(),
        Ok(Value::Array(items)) => items.into_iter().map(sentence).collect(),
        Ok(other) => vec![sentence(other)],
        Err(_) => vec![value.get().to_owned()],
    }
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

/// Reads the body of an answer that may say why something was refused, up to a limit. Our key is left out where it is repeated:
/// what is said of a request gets to its caller. `None` where it is longer or breaks off.
pub(super) async fn read_said(response: &mut Response, key: &SecretString) -> Option<Bytes> {
    let body = read_limited(response, MAX_ERROR_BODY_BYTES).await?;
    Some(without_key(body, key.expose_secret()))
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
    /// Gladia refuses the gateway's key (401, 403), or wants its account paid first (402).
    #[error("Gladia refused the gateway's key or its account ({status})")]
    KeyRefused {
        /// HTTP status.
        status: u16,
    },
    /// It takes nothing for as long as it says, up to the longest pause.
    #[error("Gladia takes nothing for {seconds} s: {0}", seconds = .1.as_secs())]
    Busy(String, Duration),
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
            Self::Busy(..) | Self::Unavailable(_) | Self::Timeout | Self::KeyRefused { .. }
        )
    }

    /// Reads what a response that is no success means.
    pub(super) async fn from_response(mut response: Response, key: &SecretString) -> Self {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let body = read_said(&mut response, key).await.unwrap_or_default();
        match (Self::from_answer(status, &body), retry_after) {
            (Self::Unavailable(message), Some(retry_after)) if matches!(status, 429 | 503) => {
                Self::Busy(message, retry_after)
            }
            (error, _) => error,
        }
    }

    fn from_answer(status: u16, body: &[u8]) -> Self {
        match ErrorEnvelope::parse(status, body) {
            Some(_) if matches!(status, 401..=403) => Self::KeyRefused { status },
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described(status: u16, body: &str) -> Option<String> {
        ErrorEnvelope::parse(status, body.as_bytes()).map(|envelope| envelope.describe())
    }

    #[test]
    fn a_route_that_is_not_there_is_told_from_whatever_else_cannot_be_done() {
        for (message, is_route) in [
            ("Cannot POST /v2/pre-recorded", true),
            ("Cannot DELETE /v2/v2/pre-recorded/x", true),
            ("Cannot download the file at audio_url", false),
            ("Cannot POST it", false),
            ("Cannot ", false),
        ] {
            let body = json!({ "statusCode": 404, "message": message }).to_string();
            let envelope = ErrorEnvelope::parse(404, body.as_bytes()).unwrap();
            assert_eq!(envelope.knows_no_route(), is_route, "{message}");
        }
    }

    #[test]
    fn an_odd_field_leaves_an_envelope_an_envelope() {
        let long = "[".repeat(1_000) + &"]".repeat(1_000);
        for (odd, expected) in [
            (r#""message":"No""#.to_owned(), "No"),
            (
                r#""message":" No ","validation_errors":["a",{"loc":["b"]}],"request_id":"G-1""#
                    .to_owned(),
                r#"No; a; {"loc":["b"]} (Gladia request G-1)"#,
            ),
            (
                r#""message":["a must be b","c should not exist"],"error":"Bad Request""#
                    .to_owned(),
                "a must be b; c should not exist",
            ),
            (
                r#""message":"No","validation_errors":null,"request_id":7"#.to_owned(),
                "No",
            ),
            (
                r#""message":"No","validation_errors":{"a":"must be b"}"#.to_owned(),
                r#"No; {"a":"must be b"}"#,
            ),
            (
                r#""message":"No","validation_errors":"a must be b""#.to_owned(),
                "No; a must be b",
            ),
            (
                r#""message":{"code":7},"request_id":null"#.to_owned(),
                r#"{"code":7}"#,
            ),
            (
                r#""message":{"$serde_json::private::RawValue":"\"No\""}"#.to_owned(),
                r#"{"$serde_json::private::RawValue":"\"No\""}"#,
            ),
            (r#""message":"Half \ud83d""#.to_owned(), r#""Half \ud83d""#),
            (
                format!(r#""path":"\ud83d","more":{long},"message":"No""#),
                "No",
            ),
        ] {
            let body = format!(r#"{{"statusCode":400,{odd}}}"#);
            assert_eq!(
                described(400, &body).as_deref(),
                Some(expected),
                "{body:.200}"
            );
        }
    }

    #[test]
    fn what_is_no_object_with_this_status_and_a_message_is_no_envelope() {
        for body in [
            json!({ "statusCode": 429, "message": "No" }),
            json!({ "statusCode": "400", "message": "No" }),
            json!({ "statusCode": 400, "message": null }),
            json!({ "statusCode": 400 }),
            json!({ "message": "No" }),
            json!([400, "No", null, null]),
            json!("No"),
        ] {
            assert_eq!(described(400, &body.to_string()), None, "{body}");
        }
        assert_eq!(described(400, "<html>Bad Request</html>"), None);
    }
}
