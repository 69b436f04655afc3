//! The request id, the request's span, and its metrics.
//!
//! An incoming `x-request-id` is honoured, so that a caller's log and ours meet; otherwise one is made. Only the matched
//! route is logged, never the path: a callback's path is a credential.

use std::{
    cell::{Cell, OnceCell},
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, Method},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use tracing::Instrument;
use uuid::Uuid;

use super::{
    hand_on,
    problem::{Problem, ProblemSlug, ProblemType},
    request_metrics,
    trace_context::Incoming,
    wait,
};
use crate::{
    domain::{access::Caller, millis::whole_ms},
    turns::{By, Handle, Pause},
};

/// The header, in and out.
static HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// What is known of the request that is being handled.
struct Known {
    id: String,
    caller: OnceCell<Caller>,
    found: Cell<Option<Found>>,
    turn: OnceCell<Handle>,
}

/// Whose a key was when it was looked up for this request.
pub(super) struct Found {
    pub(super) hash: [u8; 32],
    /// `None`: nobody's.
    pub(super) caller: Option<Caller>,
}

tokio::task_local! {
    static KNOWN: Known;
}

/// The id of the request that is being handled.
#[must_use]
pub fn current() -> Option<String> {
    KNOWN.try_with(|known| known.id.clone()).ok()
}

/// Who made the request that is being handled, once that is known. What is asked for elsewhere would count as nobody's, in the one
/// line of all whom nobody knows: a body that is still to be read, and a task of its own, outlive this and say whose they are.
pub(super) fn tenant() -> By {
    let caller = KNOWN.try_with(|known| known.caller.get().copied());
    debug_assert!(
        caller.is_ok(),
        "no request is handled here: say whose it is, as in `callers.acquire(Some(tenant_id))`"
    );
    Some(caller.ok()??.tenant_id)
}

/// Keeps what was found out to know whose turn it is, so that it is not asked a second time.
pub(super) fn note_found(found: Found) {
    let _ = KNOWN.try_with(|known| known.found.set(Some(found)));
}

/// Whose this key was when it was looked up for this request, once.
pub(super) fn take_found(hash: &[u8; 32]) -> Option<Found> {
    let found = KNOWN.try_with(|known| known.found.take()).ok()??;
    (found.hash == *hash).then_some(found)
}

/// Lets the request's line in the log say who made it. Not the span's: to add to that takes longer than all else that is logged.
pub(super) fn note_caller(caller: Caller) {
    let _ = KNOWN.try_with(|known| known.caller.set(caller));
}

/// Lets the request leave its turn to others while it waits for something else.
pub(super) fn note_turn(turn: Handle) {
    let _ = KNOWN.try_with(|known| known.turn.set(turn));
}

/// Leaves the turn of the request that is being handled to others, if it has one.
pub(super) fn pause() -> Option<Pause> {
    let begun = KNOWN.try_with(|known| known.turn.get().map(Handle::pause));
    begun.ok().flatten()
}

/// The same for as long as something else is waited for, such as Gladia, which may take its time.
pub(super) async fn pause_during<T>(waited: impl Future<Output = T>) -> T {
    let _pause = pause();
    waited.await
}

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
    let known = Known {
        id,
        caller: OnceCell::new(),
        found: Cell::new(None),
        turn: OnceCell::new(),
    };
    KNOWN.scope(known, answered).instrument(span)
}

/// Counts an answer, and logs it. What requests take that are to wait says nothing of the others.
fn tell(response: &Response, method: &'static str, route: &str, waits: bool, elapsed: Duration) {
    let status = response.status().as_u16();
    let problem = response
        .extensions()
        .get::<ProblemSlug>()
        .map(|problem| problem.0);
    request_metrics::note(method, route, status, waits, elapsed);
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
        let caller = KNOWN.try_with(|known| known.caller.get().copied());
        let caller = caller.ok().flatten();
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
fn known_method(method: &Method) -> &'static str {
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
