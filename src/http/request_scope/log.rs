//! The line that each request has in the log, and what is counted of it.
//!
//! Only the matched route is logged, never the path: a callback's path is a credential.

use std::time::Duration;

use axum::{http::Method, response::Response};

use super::{caller, metrics};
use crate::{
    domain::millis::whole_ms,
    http::problem::{ProblemSlug, ProblemType},
};

/// Counts an answer, and logs it. What requests take that are to wait says nothing of the others.
pub(super) fn tell(
    response: &Response,
    method: &'static str,
    route: &str,
    waits: bool,
    elapsed: Duration,
) {
    let status = response.status().as_u16();
    let problem = response
        .extensions()
        .get::<ProblemSlug>()
        .map(|problem| problem.0);
    metrics::note(method, route, status, waits, elapsed);
    // Probes come every few seconds and would drown the rest, and so would what is refused by the thousand.
    let is_quiet = matches!(route, "/livez" | "/readyz" | "/metrics")
        || problem == Some(ProblemType::Overloaded.slug());
    if is_quiet {
        tracing::debug!(
            http.status = status,
            elapsed_ms = whole_ms(elapsed),
            "{method} {route} {status}"
        );
    } else {
        let caller = caller();
        tracing::info!(
            http.status = status,
            problem,
            tenant.id = caller.map(|caller| display(caller.tenant_id)),
            api_key.id = caller.map(|caller| display(caller.api_key_id)),
            elapsed_ms = whole_ms(elapsed),
            "{method} {route} {status}"
        );
    }
}

/// Anybody may make up methods. Each would be a time series of its own.
pub(super) fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
