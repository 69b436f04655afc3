//! Errors as callers see them: RFC 9457 `application/problem+json`, with a stable `type` for programs, and for people
//! which field broke which rule and what to do next.
//!
//! What went wrong inside is logged once, here, and never shown.

mod kind;

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

pub use self::kind::ProblemType;
use super::request_scope;
use crate::{
    db,
    domain::{audio_url::without_queries, erasure::Erased, event::EventId, options::Violation},
    gladia::error::GladiaError,
};

/// Where a rule was broken, and which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field of the body, as a JSON pointer. The parts of a form count as fields: `/options/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pointer: Option<String>,
    /// The query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parameter: Option<String>,
    /// The header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub header: Option<String>,
    /// The rule, with what to do about it.
    pub rule: String,
    /// Every value that may stand there, where only values of a list may.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, nullable = false)]
    pub allowed: Option<Vec<&'static str>>,
}

impl FieldError {
    /// A rule whose place is still to be named.
    fn new(rule: impl Into<String>) -> Self {
        Self {
            pointer: None,
            parameter: None,
            header: None,
            rule: rule.into(),
            allowed: None,
        }
    }
}

/// An error, as RFC 9457 has it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// The kind of problem: a stable URN.
    #[serde(rename = "type")]
    #[schema(example = "urn:gladia-gateway:problem:invalid-request")]
    pub kind: String,
    /// The kind, for people.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened, and what to do next.
    pub detail: String,
    /// Each field that breaks a rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Of an erased transcription (410): who erased it and when, and what became of Gladia's copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub erased: Option<Erased>,
    /// Of events that are gone (410): the smallest `after` that still misses none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub oldest_after: Option<EventId>,
    /// What to quote to whoever runs the gateway; also in the header `x-request-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub request_id: Option<String>,
}

/// A problem on its way to becoming a response, where others may still find it: `/v2` says it in other words.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: ProblemType,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    erased: Option<Erased>,
    oldest_after: Option<EventId>,
}

impl Problem {
    /// A problem with its detail: what happened, and what to do next.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            erased: None,
            oldest_after: None,
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ProblemType {
        self.kind
    }

    /// Fields of the body that break rules. `prefix` is where the checked object stands in the body.
    #[must_use]
    pub fn violations(prefix: &str, violations: Vec<Violation>) -> Self {
        let detail = match violations.as_slice() {
            [only] => format!("{prefix}{}: {}", only.pointer, only.rule),
            more => format!("{} fields break a rule; see errors.", more.len()),
        };
        let errors = violations
            .into_iter()
            .map(|violation| FieldError {
                pointer: Some(format!("{prefix}{}", violation.pointer)),
                allowed: violation.allowed,
                ..FieldError::new(violation.rule)
            })
            .collect();
        Self {
            errors,
            ..Self::new(ProblemType::InvalidRequest, detail)
        }
    }

    /// Tells the fields of another problem along with its own.
    #[must_use]
    pub fn with_fields_of(mut self, other: Self) -> Self {
        if !other.errors.is_empty() {
            self.errors.extend(other.errors);
            self.detail = format!("{} fields break a rule; see errors.", self.errors.len());
        }
        self
    }

    /// Names the field of the body.
    #[must_use]
    pub fn at(mut self, pointer: &str, rule: impl Into<String>) -> Self {
        self.errors.push(FieldError {
            pointer: Some(pointer.into()),
            ..FieldError::new(rule)
        });
        self
    }

    /// Adds what is wrong with a part of the request. `prefix` is where that part stands in the body.
    #[must_use]
    pub fn with_part(mut self, prefix: &str, part: Self) -> Self {
        if part.errors.is_empty() {
            return self.at(prefix, part.detail);
        }
        self.errors
            .extend(part.errors.into_iter().map(|error| FieldError {
                pointer: error.pointer.map(|pointer| format!("{prefix}{pointer}")),
                ..error
            }));
        self
    }

    /// Tells the first of its fields only, and says so.
    #[must_use]
    pub fn with_fields_up_to(mut self, most: usize) -> Self {
        let found = self.errors.len();
        if found > most {
            self.errors.truncate(most);
            self.detail = format!("{found} fields break a rule; the first of them in errors.");
        }
        self
    }

    /// How many errors it tells.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.errors.len()
    }

    /// A query parameter that breaks a rule.
    pub fn parameter(name: &str, rule: impl Into<String>) -> Self {
        Self::parameters(vec![(name.into(), rule.into())])
    }

    /// Query parameters that break rules, all of them: name and rule.
    #[must_use]
    pub fn parameters(broken: Vec<(String, String)>) -> Self {
        let detail = match broken.as_slice() {
            [(name, rule)] => format!("{name}: {rule}"),
            more => format!("{} parameters break a rule; see errors.", more.len()),
        };
        let errors = broken
            .into_iter()
            .map(|(name, rule)| FieldError {
                parameter: Some(name),
                ..FieldError::new(rule)
            })
            .collect();
        Self {
            errors,
            ..Self::new(ProblemType::InvalidParameter, detail)
        }
    }

    /// A header that breaks a rule.
    pub fn header(name: &str, rule: impl Into<String>) -> Self {
        let rule = rule.into();
        let mut problem = Self::new(ProblemType::InvalidParameter, format!("{name}: {rule}"));
        problem.errors.push(FieldError {
            header: Some(name.into()),
            ..FieldError::new(rule)
        });
        problem
    }

    /// When to come back.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// When to come back, where that was said.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// A transcription that the caller does not have.
    #[must_use]
    pub fn no_such_transcription() -> Self {
        Self::new(
            ProblemType::NotFound,
            "There is no transcription with this id.",
        )
    }

    /// A transcription whose content is erased.
    #[must_use]
    pub fn deleted() -> Self {
        Self::new(
            ProblemType::TranscriptionDeleted,
            "The transcription's content is erased: it was deleted, or its retention has ended.",
        )
    }

    /// The same with its receipt.
    #[must_use]
    pub fn erased(receipt: Erased) -> Self {
        Self {
            erased: Some(receipt),
            ..Self::deleted()
        }
    }

    /// Events that a reader has not seen are gone, or it has seen more than there is.
    #[must_use]
    pub fn event_cursor_expired(detail: impl Into<String>, oldest_after: EventId) -> Self {
        Self {
            oldest_after: Some(oldest_after),
            ..Self::new(ProblemType::EventCursorExpired, detail)
        }
    }

    /// Nothing can be uploaded to Gladia, or be had from there.
    #[must_use]
    pub fn zero_data_retention(detail: &str) -> Self {
        Self::new(ProblemType::ZeroDataRetention, detail)
    }

    /// A file that did not reach Gladia.
    #[must_use]
    pub fn not_uploaded(error: GladiaError) -> Self {
        let mut problem = Self::from(error);
        // Where Gladia refuses the file, that says it.
        if let ProblemType::UpstreamFailed | ProblemType::UpstreamUnavailable = problem.kind {
            problem.detail.push_str(" Nothing was kept.");
        }
        problem
    }

    /// As it is written, apart from the request that met it.
    #[must_use]
    pub fn into_body(self) -> ProblemBody {
        let (slug, status, title) = self.kind.parts();
        ProblemBody {
            kind: format!("urn:gladia-gateway:problem:{slug}"),
            title,
            status: status.as_u16(),
            detail: self.detail,
            errors: self.errors,
            erased: self.erased,
            oldest_after: self.oldest_after,
            request_id: None,
        }
    }
}

/// Which problem a response is, for its log line.
#[derive(Debug, Clone, Copy)]
pub struct ProblemSlug(pub &'static str);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (kind, retry_after) = (self.kind, self.retry_after);
        let (slug, status, _) = kind.parts();
        let problem = self.clone();
        let body = ProblemBody {
            request_id: request_scope::id(),
            ..self.into_body()
        };
        let mut response = (status, Json(body)).into_response();
        response.extensions_mut().insert(ProblemSlug(slug));
        response.extensions_mut().insert(problem);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if kind == ProblemType::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(after) = retry_after {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(after.as_secs().max(1)),
            );
        }
        response
    }
}

/// The database's error: the caller learns whether to come back, the log learns why.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        if db::is_unavailable(&error) {
            if db::is_login_refused(&error) {
                tracing::error!(%error, "The database does not let the gateway in; DATABASE_URL, or the role in it, has to be mended");
            } else {
                tracing::warn!(%error, "The database is not available");
            }
            Self::new(
                ProblemType::DatabaseUnavailable,
                "Repeat the request in a moment. With an Idempotency-Key, a repeated create is safe.",
            )
            .with_retry_after(Duration::from_secs(5))
        } else {
            tracing::error!(%error, "A database statement failed");
            Self::new(
                ProblemType::Internal,
                "The gateway's log has the cause under this request id.",
            )
        }
    }
}

/// Gladia's error on anything but a create.
impl From<GladiaError> for Problem {
    fn from(error: GladiaError) -> Self {
        // Gladia may repeat what it was asked.
        let told = without_queries(&error.to_string());
        tracing::warn!(error = told, "Gladia did not do what was asked");
        let unavailable = || {
            Self::new(
                ProblemType::UpstreamUnavailable,
                "Gladia cannot be reached or takes nothing at the moment. Repeat the request later.",
            )
        };
        match error {
            GladiaError::Refused { status: 413, .. } => {
                Self::new(ProblemType::PayloadTooLarge, "The file is larger than Gladia accepts.")
            }
            GladiaError::Refused { message, .. } => Self::new(ProblemType::FileRefused, message),
            GladiaError::KeyRefused { .. } => Self::new(
                ProblemType::UpstreamUnavailable,
                "Gladia refuses the gateway's key, or its account is to be paid first. Whoever runs the gateway has to act.",
            )
            .with_retry_after(Duration::from_mins(1)),
            GladiaError::Busy(_, retry_after) => unavailable().with_retry_after(retry_after),
            GladiaError::Unavailable(_) => unavailable().with_retry_after(Duration::from_secs(10)),
            GladiaError::Timeout | GladiaError::Unexpected(_) => Self::new(
                ProblemType::UpstreamFailed,
                "Gladia did not answer as it should. Repeat the request.",
            ),
        }
    }
}
