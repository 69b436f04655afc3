//! The request id, and what is around the handling of a request that has it: its span, its line in the log
//! ([`log`](super::log)), what is known of it meanwhile ([`request_scope`](super)).
//!
//! An incoming `x-request-id` is honoured, so that a caller's log and ours meet; otherwise one is made.

use std::{panic::AssertUnwindSafe, time::Instant};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use tracing::Instrument;
use uuid::Uuid;

use super::{
    log::{known_method, tell},
    trace_context::Incoming,
};
use crate::http::{
    hand_on,
    problem::{Problem, ProblemType},
    request_scope, wait,
};

/// The header, in and out.
static HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Gives each request its id, its span and its metrics, and turns a panic into a problem.
pub fn handle(request: Request, next: Next) -> impl Future<Output = Response> {
    let id = request
        .headers()
        .get(&HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_acceptable(id))
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let method = known_method(request.method());
    let waits = wait::is_asked_for(&request);
    let started = Instant::now();
    let incoming = Incoming::now(request.headers());
    let span = tracing::info_span!(
        "http.request", request.id = %id, http.method = %method, http.route = %route,
        trace.id = incoming.trace_name(),
    );
    let handled = AssertUnwindSafe(incoming.scope(hand_on(request, next))).catch_unwind();
    // No block that awaits: it would have room for all of this twice, for as long as the answer is waited for.
    let answered = handled.map({
        let id = id.clone();
        move |handled| {
            let mut response = handled.unwrap_or_else(|_| after_panic().into_response());
            if let Ok(value) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(&HEADER, value);
            }
            tell(&response, method, &route, waits, started.elapsed());
            response
        }
    });
    request_scope::enter(id, answered).instrument(span)
}

fn is_acceptable(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The problem of a handler that panicked, which the log has.
#[must_use]
pub fn after_panic() -> Problem {
    Problem::new(
        ProblemType::Internal,
        "The gateway's log has the cause under this request id.",
    )
}
