//! Errors as Gladia has them: one envelope for all, in Gladia's words where they are known.
//!
//! An error is put into its envelope on its way out, where method and path are known; so is whatever else is no success,
//! wherever below it was made.

use std::{panic::AssertUnwindSafe, time::Duration};

use axum::{
    Json,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::FutureExt;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    http::{
        problem::{FieldError, Problem, ProblemSlug, ProblemType},
        request_scope::{self, request_id},
    },
    trace,
};

/// What browsers may send, as Gladia tells them.
const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");

const EVERYBODY: HeaderValue = HeaderValue::from_static("*");

/// An error on its way to its envelope.
#[derive(Debug, Clone)]
pub struct V2Error {
    status: StatusCode,
    /// `None` stands for the message that names method and path.
    message: Option<String>,
    validation_errors: Vec<String>,
    retry_after: Option<Duration>,
    slug: Option<&'static str>,
}

/// The envelope, its fields in Gladia's order.
#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "statusCode")]
    status_code: u16,
    timestamp: String,
    path: &'a str,
    message: &'a str,
    request_id: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    validation_errors: &'a [String],
}

impl V2Error {
    /// An error with its message.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: Some(message.into()),
            validation_errors: Vec::new(),
            retry_after: None,
            slug: None,
        }
    }

    /// A request that breaks rules, each told in a sentence.
    #[must_use]
    pub fn invalid(validation_errors: Vec<String>) -> Self {
        let message = "Invalid parameter(s). See validation_errors for more details.";
        Self {
            validation_errors,
            ..Self::new(StatusCode::BAD_REQUEST, message)
        }
    }

    /// A file that Gladia can make nothing of. The blank at the end is Gladia's.
    #[must_use]
    pub fn unusable_file(reason: &str) -> Self {
        // Gladia's own id of the request leads nowhere for our callers.
        let reason = reason
            .split(" (Gladia request ")
            .next()
            .unwrap_or(reason)
            .trim();
        let told = "Failed to download or upload the input file with error: ";
        let message = if reason.starts_with(told) {
            format!("{reason} ")
        } else {
            format!("{told}{reason} ")
        };
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Nothing of this name that the caller could have.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found")
    }

    /// Neither this path nor this method.
    #[must_use]
    pub fn no_such_route() -> Self {
        Self {
            message: None,
            ..Self::not_found()
        }
    }

    /// What is only known by its status.
    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::METHOD_NOT_ALLOWED => Self::no_such_route(),
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(status, "Payload too large"),
            StatusCode::INTERNAL_SERVER_ERROR => Self::new(status, "Internal server error"),
            other => Self::new(other, other.canonical_reason().unwrap_or("Error")),
        }
    }

    /// The error in its envelope.
    fn render(&self, method: &Method, path: &str) -> Response {
        let message = match &self.message {
            Some(message) => message,
            None => &format!("Cannot {method} {path}"),
        };
        let envelope = Envelope {
            status_code: self.status.as_u16(),
            timestamp: DateTime::<Utc>::from(trace::now())
                .to_rfc3339_opts(SecondsFormat::Millis, true),
            path,
            message,
            request_id: short_request_id(),
            validation_errors: &self.validation_errors,
        };
        let mut response = (self.status, Json(envelope)).into_response();
        if let Some(slug) = self.slug {
            response.extensions_mut().insert(ProblemSlug(slug));
        }
        if let Some(after) = self.retry_after {
            let seconds = HeaderValue::from(after.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl IntoResponse for V2Error {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A problem in Gladia's terms.
impl From<Problem> for V2Error {
    fn from(problem: Problem) -> Self {
        let (kind, retry_after) = (problem.kind(), problem.retry_after());
        let body = problem.into_body();
        let error = match kind {
            ProblemType::InvalidRequest | ProblemType::InvalidParameter => {
                Self::invalid(body.errors.iter().map(sentence).collect())
            }
            ProblemType::NotFound | ProblemType::TranscriptionDeleted => Self::not_found(),
            ProblemType::AudioNotFound => Self::invalid(vec![
                "audio_url must be a file that was uploaded with this account, or audio that is elsewhere".to_owned(),
            ]),
            ProblemType::FileRefused | ProblemType::EmptyFile => Self::unusable_file(&body.detail),
            ProblemType::MethodNotAllowed => Self::no_such_route(),
            ProblemType::PayloadTooLarge | ProblemType::Internal => Self::of_status(kind.status()),
            ProblemType::DatabaseUnavailable => Self::new(
                kind.status(),
                "The gateway's database does not answer. Repeat the request in a moment. A create that is sent again as it was, \
                 within V2_CREATE_REPEAT_SECONDS of the first time, makes no second job.",
            ),
            // To Gladia's clients these are requests that are wrong as they are.
            ProblemType::UnsupportedMediaType
            | ProblemType::IdempotencyKeyReused => Self::new(StatusCode::BAD_REQUEST, body.detail),
            _ => Self::new(kind.status(), body.detail),
        };
        Self {
            retry_after,
            slug: Some(kind.slug()),
            ..error
        }
    }
}

impl From<sqlx::Error> for V2Error {
    fn from(error: sqlx::Error) -> Self {
        Problem::from(error).into()
    }
}

/// A broken rule as a sentence that begins with its field, as class-validator has it.
fn sentence(error: &FieldError) -> String {
    let place = error
        .pointer
        .as_deref()
        .or(error.parameter.as_deref())
        .or(error.header.as_deref())
        .unwrap_or_default();
    let name = place.trim_start_matches('/').replace('/', ".");
    format!("{name} {}", error.rule)
}

/// The request's id as Gladia writes them: `G-` and eight hexadecimal digits, the last ones of ours where it ends in such.
fn short_request_id() -> String {
    let id = request_scope::id().unwrap_or_default();
    let is_hex = |text: &str| {
        text.bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let tail = id
        .len()
        .checked_sub(8)
        .and_then(|start| id.get(start..))
        .filter(|tail| is_hex(tail));
    if let Some(tail) = tail {
        return format!("G-{tail}");
    }
    let hash = Sha256::digest(id.as_bytes());
    let [a, b, c, d] = [hash[0], hash[1], hash[2], hash[3]];
    format!("G-{a:02x}{b:02x}{c:02x}{d:02x}")
}

/// Puts errors into their envelope, and lets programs in browsers read every answer.
pub async fn layer(request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        return preflight(request.headers());
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = handled.unwrap_or_else(|_| request_id::after_panic().into_response());
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let extensions = response.extensions_mut();
        // What is refused before it gets here is refused as everywhere else.
        let told = extensions
            .remove::<V2Error>()
            .or_else(|| extensions.remove::<Problem>().map(V2Error::from));
        let slug = response.extensions().get::<ProblemSlug>().copied();
        let retry_after = response.headers().get(header::RETRY_AFTER).cloned();
        let error = told.unwrap_or_else(|| V2Error::of_status(status));
        response = error.render(&method, &path);
        if let Some(slug) = slug {
            response.extensions_mut().insert(slug);
        }
        if let Some(after) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, after);
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, EVERYBODY);
    response
}

/// What a browser asks before it sends a request of another site's.
fn preflight(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, EVERYBODY);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    if let Some(wanted) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        headers.insert(
            header::VARY,
            HeaderValue::from_static("Access-Control-Request-Headers"),
        );
    }
    response
}
