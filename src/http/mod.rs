//! The service over HTTP: one folder a resource, one file a verb.
//!
//! Callers meet the [`transcriptions`], [`batches`], [`events`], [`uploads`], [`webhook_endpoints`], [`deliveries`] and [`usage`] of
//! API version 1, described by [`openapi`]; those who want to [`wait`] for what comes next do. Programs that were written for
//! Gladia meet [`v2`].
//! Gladia meets [`callbacks`] and [`webhooks`]. Whoever runs the service meets [`admin`] and [`ops`].
//!
//! Connections and the requests that come on them go through the [`server`], which refuses early what is beyond capacity. Every
//! request has an id and a line in the log ([`request_scope`]). What it brings is read by [`request`], and every error is a
//! [`problem`]; what callers have is not sent again, and the rest as briefly as they can take it ([`answer`]). What happens is told
//! as it happens ([`sse`]).

use std::time::Duration;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use tower::Service;

use self::{
    answer::compression,
    problem::{Problem, ProblemType},
    request_scope::request_id,
    server::{linger, overload},
    state::AppState,
};

pub mod admin;
pub mod answer;
pub mod auth;
pub mod batches;
pub mod callback_secret;
pub mod callbacks;
pub mod deliveries;
pub mod events;
pub mod idempotency;
pub mod openapi;
pub mod ops;
pub mod problem;
pub mod request;
pub mod request_scope;
pub mod server;
pub mod signing_secret;
pub mod sse;
pub mod state;
pub mod transcriptions;
pub mod uploads;
pub mod usage;
pub mod v2;
pub mod wait;
pub mod webhook_endpoints;
pub mod webhooks;

/// How long requests wait for a start, most of which take a blink.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// How long until callers may come again while the database is still to be brought up.
const START_RETRY_AFTER: Duration = Duration::from_secs(5);

/// What an address serves.
#[derive(Debug, Clone, Copy)]
pub struct Serves {
    /// The API with its document.
    pub api: bool,
    /// Gladia's callbacks and account webhooks.
    pub callbacks: bool,
    /// Probes and metrics.
    pub ops: bool,
}

/// Assembles the routes of an address.
pub fn router(state: AppState, serves: Serves) -> Router {
    let mut router = Router::new();
    if serves.api {
        let in_turn = middleware::from_fn_with_state(state.clone(), in_turn);
        let v2 = v2::router().layer(in_turn.clone());
        router = router
            .merge(openapi::api().layer(in_turn))
            .merge(v2.layer(middleware::from_fn(v2::error::layer)));
    }
    if serves.ops {
        router = router.merge(ops::router());
    }
    // Routes merged below are not compressed: what Gladia is answered stays as it is.
    router = compression::compressed(router);
    if serves.api {
        // And what anybody may ask for would cost an encoder, a megabyte for as long as its caller takes, while text that is
        // there costs nothing.
        router = router.merge(openapi::router());
    }
    if serves.callbacks {
        let started = middleware::from_fn_with_state(state.clone(), once_started);
        router = router
            .merge(callbacks::router())
            .merge(webhooks::router().layer(started));
    }
    router
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn(around))
        .with_state(state)
}

/// What is around every request. One layer, since each holds some hundred bytes for as long as its answer is waited for.
fn around(request: Request, next: Next) -> impl Future<Output = Response> {
    linger::handle(request, |request| request_id::handle(request, next)).map(|mut response| {
        let headers = response.headers_mut();
        // Transcripts and audio stay out of caches; callers' own programs keep what they want, by its ETag.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // And a browser takes nothing for what it is not said to be.
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        response
    })
}

/// Beyond capacity and before the start, requests are refused.
fn in_turn(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> impl Future<Output = Response> {
    if state.start.is_up() {
        return overload::handle(state, request, next).left_future();
    }
    let started = async move {
        match wait_for_start(&state).await {
            Ok(()) => overload::handle(state, request, next).await,
            Err(problem) => problem.into_response(),
        }
    };
    // Everybody who comes later has no room for it.
    started.boxed().right_future()
}

fn once_started(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> impl Future<Output = Response> {
    if state.start.is_up() {
        return hand_on(request, next).left_future();
    }
    let started = async move {
        match wait_for_start(&state).await {
            Ok(()) => hand_on(request, next).await,
            Err(problem) => problem.into_response(),
        }
    };
    started.boxed().right_future()
}

/// Until the database has been brought up, nothing but callbacks can be taken.
async fn wait_for_start(state: &AppState) -> Result<(), Problem> {
    let started = state.start.wait(START_PATIENCE);
    if state.stopping.run_until_cancelled(started).await == Some(true) {
        return Ok(());
    }
    let problem = Problem::new(
        ProblemType::DatabaseUnavailable,
        "The gateway is waiting for its database. Repeat the request in a moment.",
    );
    Err(problem.with_retry_after(START_RETRY_AFTER))
}

/// As [`Next::run`]; but whoever waits for this answer has no room for the request any more, which adds up where thousands
/// wait.
fn hand_on(request: Request, mut next: Next) -> impl Future<Output = Response> {
    next.call(request).map(|Ok(response)| response)
}

async fn no_such_route(_: Uri) -> Problem {
    Problem::new(
        ProblemType::NotFound,
        "There is nothing at this address. /docs shows what there is.",
    )
}

async fn no_such_method() -> Problem {
    Problem::new(
        ProblemType::MethodNotAllowed,
        "This address does not take this method. The header Allow names those it takes.",
    )
}

#[cfg(test)]
mod tests {
    use super::{around, in_turn, wait::held_by};

    #[test]
    fn layers_hold_little_while_an_answer_is_waited_for() {
        let held = [
            held_by(|(a, b)| around(a, b)),
            held_by(|(a, b, c)| in_turn(a, b, c)),
        ];
        assert!(held.iter().all(|bytes| *bytes <= 512), "{held:?}");
    }
}
