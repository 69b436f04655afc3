//! A call of the gateway's own public address, on the way that Gladia's callbacks take.
//!
//! Nothing else shows before a paid transcript is at stake that callbacks come back: DNS, certificates, the load balancer
//! and its rules all stand outside the gateway. The call names no attempt and carries a random number that is signed; only
//! a gateway that has the same key can answer it, whichever replica that is, and it needs no database to.
//!
//! A call may be as large as a large result, since much that stands before a gateway takes small bodies alone unless it is told
//! to: nginx 1 MB, for one.

use std::{convert::Infallible, error::Error, io::ErrorKind, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use reqwest::{
    Body, Client, Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
    redirect,
};
use thiserror::Error as ThisError;
use url::Url;
use uuid::Uuid;

use super::{
    callback_keys::CallbackKeys,
    error::{describe_transport, read_limited},
};
use crate::{domain::plain_json, tls};

/// How long a small call may take in all.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a large one may: as a callback that comes slowly.
const LARGE_TIMEOUT: Duration = Duration::from_mins(3);

/// The megabytes of a large call: as many as a result has after hours of audio in several languages, and more than common
/// limits let through.
pub const LARGE_MEGABYTES: usize = 12;

/// The same in bytes.
pub const LARGE_BYTES: usize = LARGE_MEGABYTES * 1_000_000;

/// What a large call is made of: JSON that means nothing, in pieces.
static SPACES: [u8; 50_000] = [b' '; 50_000];

/// An answer is a line. Whatever is longer is none.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What the problems of every gateway begin with.
const PROBLEM_PREFIX: &str = "urn:gladia-gateway:problem:";

/// Calls the gateway's own public address.
#[derive(Debug, Clone)]
pub struct Canary {
    http: Client,
    public_url: Url,
    keys: CallbackKeys,
}

/// Why a call did not come back.
#[derive(Debug, ThisError)]
pub enum CanaryError {
    /// The name leads nowhere.
    #[error("its name cannot be resolved ({0})")]
    Name(String),
    /// Nobody listens.
    #[error("the connection was refused ({0})")]
    Refused(String),
    /// The certificate is not trusted, or TLS fails otherwise.
    #[error("TLS failed ({0})")]
    Tls(String),
    /// No answer in time.
    #[error("there was no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// Anything else on the way.
    #[error("the call failed on its way ({0})")]
    Transport(String),
    /// An answer that leads elsewhere.
    #[error(
        "it answers {status} and leads to {target}. Whether Gladia follows redirects is not known: set PUBLIC_URL to where \
         it leads"
    )]
    Redirect {
        /// HTTP status.
        status: u16,
        /// Scheme and host.
        target: String,
    },
    /// Another gateway, or this one with other keys.
    #[error(
        "a gladia-gateway answers there, but it does not know this call: PUBLIC_URL leads to LISTEN_ADDR although there is a \
         CALLBACK_LISTEN_ADDR, or has a path too many; or its CALLBACK_KEYS differ, or its version is older"
    )]
    OtherKeys,
    /// A gateway that has no address for callbacks there, or cannot answer now.
    #[error("a gladia-gateway answers there with {status} ({problem})")]
    Problem {
        /// HTTP status.
        status: u16,
        /// The kind of problem.
        problem: String,
    },
    /// Somebody takes no body of that size.
    #[error(
        "something before the gateway answers 413: raise the limit that it has for the bodies of requests, to that of \
         MAX_CALLBACK_BYTES"
    )]
    TooLarge,
    /// Somebody else's error.
    #[error(
        "something answers {status} there, and it is no gladia-gateway: it must lead to the path /callbacks/gladia/ of one"
    )]
    Status {
        /// HTTP status.
        status: u16,
    },
    /// Somebody else's success.
    #[error("something answers there, but it is not this gateway, or its CALLBACK_KEYS differ")]
    NoProof,
}

impl Canary {
    /// Prepares calls. Redirects are not followed, nothing is repeated, and each call has a connection of its own, so that
    /// it meets what a stranger would.
    ///
    /// # Errors
    /// Where TLS does not start.
    pub fn new(public_url: Url, keys: CallbackKeys) -> Result<Self, reqwest::Error> {
        let http = tls::client_for(&public_url)
            .user_agent(tls::USER_AGENT)
            .pool_max_idle_per_host(0)
            .retry(reqwest::retry::never())
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self {
            http,
            public_url,
            keys,
        })
    }

    /// Where it calls.
    #[must_use]
    pub fn public_url(&self) -> &Url {
        &self.public_url
    }

    /// Calls once, as a callback would come. `nonce` is used for no other call.
    ///
    /// # Errors
    /// Where it does not come back to a gateway with these keys.
    pub async fn call(&self, nonce: Uuid) -> Result<(), CanaryError> {
        self.send(nonce, 2, Body::from("{}"), TIMEOUT).await
    }

    /// The same with as many bytes as a large result has ([`LARGE_BYTES`]).
    ///
    /// # Errors
    /// Where they do not come back to a gateway with these keys.
    pub async fn call_large(&self, nonce: Uuid) -> Result<(), CanaryError> {
        let spaces = std::iter::repeat_n(Bytes::from_static(&SPACES), LARGE_BYTES / SPACES.len());
        let pieces = std::iter::once(Bytes::from_static(b"{}")).chain(spaces);
        let body = Body::wrap_stream(stream::iter(pieces.map(Ok::<_, Infallible>)));
        self.send(nonce, LARGE_BYTES + 2, body, LARGE_TIMEOUT).await
    }

    async fn send(
        &self,
        nonce: Uuid,
        length: usize,
        body: Body,
        timeout: Duration,
    ) -> Result<(), CanaryError> {
        let sent = self
            .http
            .post(self.keys.canary_url(&self.public_url, nonce))
            .timeout(timeout)
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, length)
            .body(body)
            .send()
            .await;
        let mut response = sent.map_err(|error| explain(&error, timeout))?;
        let status = response.status();
        if status.is_redirection() {
            let target = target_of(&self.public_url, &response);
            return Err(CanaryError::Redirect {
                status: status.as_u16(),
                target,
            });
        }
        let body = read_limited(&mut response, MAX_ANSWER_BYTES)
            .await
            .unwrap_or_default();
        let text = std::str::from_utf8(&body).unwrap_or_default();
        if status.is_success() {
            return if self.keys.is_canary_answer(nonce, text.trim()) {
                Ok(())
            } else {
                Err(CanaryError::NoProof)
            };
        }
        let status = status.as_u16();
        Err(match problem_of(text) {
            Some(problem) if status == 404 && problem == "not-found" => CanaryError::OtherKeys,
            Some(problem) => CanaryError::Problem { status, problem },
            None if status == 413 => CanaryError::TooLarge,
            None => CanaryError::Status { status },
        })
    }
}

/// The kind of a problem of a gateway's.
fn problem_of(body: &str) -> Option<String> {
    let body = plain_json::from_str(body).ok()?;
    let kind = body.get("type")?.as_str()?.strip_prefix(PROBLEM_PREFIX)?;
    Some(kind.chars().take(60).collect())
}

/// Where a redirect leads, without a path, which may hold the token.
fn target_of(from: &Url, response: &Response) -> String {
    response
        .headers()
        .get(LOCATION)
        .and_then(|value| from.join(value.to_str().ok()?).ok())
        .map_or_else(
            || "nowhere".to_owned(),
            |url| url.origin().ascii_serialization(),
        )
}

/// What kept a call from being answered.
fn explain(error: &reqwest::Error, timeout: Duration) -> CanaryError {
    if error.is_timeout() {
        return CanaryError::Timeout(timeout);
    }
    let text = describe_transport(error);
    let refused = causes(error)
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == ErrorKind::ConnectionRefused);
    // The libraries below have no types of their own for these.
    let lower = text.to_ascii_lowercase();
    let speaks_of = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if refused {
        CanaryError::Refused(text)
    } else if speaks_of(&["dns error", "failed to lookup"]) {
        CanaryError::Name(text)
    } else if speaks_of(&["certificate", "tls", "handshake", "corrupt message"]) {
        CanaryError::Tls(text)
    } else {
        CanaryError::Transport(text)
    }
}

/// An error's causes, the nearest first.
fn causes<'a>(error: &'a dyn Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}
