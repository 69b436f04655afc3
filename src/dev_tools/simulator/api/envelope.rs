//! Gladia's one shape for errors.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::dev_tools::simulator::clock;

/// An error without the request's path, which the gate adds.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    /// None stands for the message that names the route.
    message: Option<String>,
    validation_errors: Vec<String>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "statusCode")]
    status_code: u16,
    timestamp: String,
    path: &'a str,
    message: String,
    request_id: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    validation_errors: &'a [String],
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: Some(message.into()),
            validation_errors: Vec::new(),
        }
    }

    pub(super) fn invalid(errors: Vec<String>) -> Self {
        Self {
            validation_errors: errors,
            ..Self::new(
                StatusCode::BAD_REQUEST,
                "Invalid parameter(s). See validation_errors for more details.",
            )
        }
    }

    pub(super) fn unusable_file(reason: impl std::fmt::Display) -> Self {
        // The blank at the end is Gladia's.
        Self::new(
            StatusCode::BAD_REQUEST,
            format!("Failed to download or upload the input file with error: {reason} "),
        )
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found")
    }

    pub(super) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large")
    }

    pub(super) fn no_such_route() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: None,
            validation_errors: Vec::new(),
        }
    }

    /// The error as it is sent.
    pub(super) fn render(&self, method: &str, path: &str) -> Response {
        let message = self
            .message
            .clone()
            .unwrap_or_else(|| format!("Cannot {method} {path}"));
        let body = Envelope {
            status_code: self.status.as_u16(),
            timestamp: clock::iso(clock::now()),
            path,
            message,
            request_id: format!("G-{:08x}", rand::random::<u32>()),
            validation_errors: &self.validation_errors,
        };
        (self.status, Json(body)).into_response()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
