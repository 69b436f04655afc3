//! One try of a delivery: what goes out, and what came of it.

use std::time::Duration;

use bytes::Bytes;
use url::Url;

use crate::domain::{delivery::CallbackMethod, ids::TenantId, words::names};

/// What is sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// `webhook-id`: the same at every try, so that receivers can tell repetitions.
    pub id: String,
    /// Where to.
    pub url: Url,
    /// How.
    pub method: CallbackMethod,
    /// JSON.
    pub body: Bytes,
    /// What it is signed with, the current secret first. One that was rotated lately signs, too.
    pub secrets: Vec<SigningSecret>,
    /// W3C Trace Context, where the job has one.
    pub traceparent: Option<String>,
}

/// The bytes that a receiver's secret stands for.
#[derive(Clone)]
pub struct SigningSecret(pub Vec<u8>);

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningSecret")
    }
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// How long it took, to the head of the answer or to the failure.
    pub duration: Duration,
    /// The answer's status, where there was one.
    pub http_status: Option<u16>,
    /// How long the receiver wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The first bytes of the answer, as text.
    pub response_start: Option<String>,
    /// Why it did not get through. `None`: the receiver answered 2xx.
    pub error: Option<SendError>,
}

impl Sent {
    /// A try without an answer.
    pub(super) fn unanswered(duration: Duration, error: SendError) -> Self {
        Self {
            duration,
            http_status: None,
            retry_after: None,
            response_start: None,
            error: Some(error),
        }
    }
}

/// A message was not tried, for want of room here. It says nothing of the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many names are looked up")]
pub struct NotTried;

/// Why a try did not get through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// The kind.
    pub code: SendErrorCode,
    /// For people. Holds neither addresses of private networks nor content.
    pub detail: String,
}

/// What kinds of failure there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendErrorCode {
    /// The receiver answered something else than 2xx.
    HttpStatus,
    /// It answered with a redirect, which is not followed.
    Redirect,
    /// It did not answer in time.
    Timeout,
    /// It did not take the connection, or broke it off.
    Connection,
    /// Its name has no address, or one in a network that the gateway does not call: which of the two is nobody's business
    /// outside.
    NameResolution,
    /// No TLS connection came about.
    Tls,
    /// Its address, as its URL has it, is in a network that the gateway does not call.
    AddressRefused,
    /// Its port is none that the gateway calls.
    PortRefused,
    /// The gateway could not put the request together.
    Internal,
    /// The process that tried ended before it knew.
    Interrupted,
}

names! {
    /// The name in SQL and JSON.
    SendErrorCode:
    HttpStatus = "http_status",
    Redirect = "redirect",
    Timeout = "timeout",
    Connection = "connection",
    NameResolution = "name_resolution",
    Tls = "tls",
    AddressRefused = "address_refused",
    PortRefused = "port_refused",
    Internal = "internal",
    Interrupted = "interrupted",
}
