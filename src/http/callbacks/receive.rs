//! `POST|PUT /callbacks/gladia/{attempt}/{token}`: a result arrives.
//!
//! The token is verified before a byte of the body is read. The body is kept as it came, whatever it says, in the one
//! commit that also finishes the job, or in the spool; 2xx follows that commit or the flush to disk, and nothing else.

use std::{str::FromStr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use tracing::Instrument;

use super::canary;
use crate::{
    crash_points::CrashPoint,
    domain::{ids::AttemptId, words::words},
    http::{
        problem::{Problem, ProblemType},
        request::body,
        state::AppState,
    },
    journal::intake::{Arrival, NotKept, Taken},
};

/// How long a callback waits for the process to have started, where it can be kept nowhere else.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// How long a callback waits for its turn before Gladia is asked to come again.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long nothing of a callback may come once it has its turn: shorter than others wait for theirs, so that senders who
/// went silent, of whom a broken network leaves many at once, do not cost those others their callbacks.
const PAUSE_TIMEOUT: Duration = Duration::from_secs(8);

/// How fast a callback has to come, once the time is over that every body has. It is a result that is paid for, and perhaps the
/// only copy, so it may come slowly; but what trickles does not keep its turn.
const SLOWEST_BYTES_PER_SECOND: u64 = 100_000;

/// How long until Gladia may come again where the callback could not be kept.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How long where the attempt is not known: whoever runs the service has to mend something.
const UNKNOWN_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Why a callback is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// It may come from anybody.
    Unverified,
    /// There is nowhere to keep it, or nobody whose it is.
    NotKept,
}

impl NotTaken {
    words! {
        /// The name in metrics.
        as_str(self):
        Unverified = "unverified",
        NotKept = "not_kept",
    }

    fn count(self) {
        metrics::counter!("gateway_callbacks_total", "outcome" => self.as_str()).increment(1);
    }
}

/// Receives a callback.
pub async fn receive_callback(
    State(state): State<AppState>,
    path: Result<Path<(String, String)>, PathRejection>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let path = path.ok();
    let named = path
        .as_ref()
        .and_then(|Path((attempt, token))| verify(&state, attempt, token));
    let Some(attempt_id) = named else {
        if let Some(answer) =
            path.and_then(|Path((nonce, token))| canary::answer(&state, &nonce, &token))
        {
            let patience = state.limits.request_timeout
                + Duration::from_secs(canary::MOST_BYTES / SLOWEST_BYTES_PER_SECOND);
            return canary::after(body, answer, patience).await;
        }
        NotTaken::Unverified.count();
        tracing::warn!("Refused a callback whose token is wrong");
        return Problem::new(ProblemType::NotFound, "There is nothing here.").into_response();
    };
    CrashPoint::CallbackVerified.reach();
    let arrival = Arrival {
        attempt_id,
        method: if method == Method::PUT { "PUT" } else { "POST" },
        declared_bytes: body::content_length(&headers),
    };
    match receive(&state, arrival, body).await {
        Ok(_) => StatusCode::OK.into_response(),
        Err(problem) => {
            NotTaken::NotKept.count();
            problem.into_response()
        }
    }
}

fn verify(state: &AppState, attempt: &str, token: &str) -> Option<AttemptId> {
    let attempt_id = AttemptId::from_str(attempt).ok()?;
    // The address as it was given to Gladia, and no other way of writing the same id.
    let is_verified =
        attempt_id.to_string() == attempt && state.callback_keys.verify(attempt_id, token);
    is_verified.then_some(attempt_id)
}

/// Waits for a turn. From then on the callback, once its body is here, is kept whether Gladia waits for the answer or not: it
/// may never send it again.
async fn receive(state: &AppState, arrival: Arrival, body: Body) -> Result<Taken, Problem> {
    // What tables that are not those of this version make of it nobody knows.
    if state.intake.spool().is_none() && !state.start.is_up() {
        let started = state.start.wait(START_PATIENCE);
        if state.stopping.run_until_cancelled(started).await != Some(true) {
            return Err(come_again("The gateway is waiting for its database."));
        }
    }
    let permits = Arc::clone(&state.callback_permits);
    let turn = tokio::time::timeout(TURN_TIMEOUT, permits.acquire_owned())
        .await
        .map_err(|_| come_again("Too many callbacks at once."))?
        .map_err(|_| come_again("Too many callbacks at once."))?;
    let pace = body::Pace {
        whole: state.limits.request_timeout,
        bytes_per_second: SLOWEST_BYTES_PER_SECOND,
        pause: PAUSE_TIMEOUT,
    };
    let intake = state.intake.clone();
    let taking = async move {
        let taken = match intake.small_bytes(arrival) {
            Some(bytes) => {
                intake
                    .take_small(arrival, body::read_small(body, bytes, pace))
                    .await
            }
            None => {
                intake
                    .take(arrival, body::blocking_reader(body, pace))
                    .await
            }
        };
        drop(turn);
        taken
    };
    let taken = state.tasks.spawn(taking.in_current_span());
    match taken.await {
        Ok(taken) => taken.map_err(|error| not_kept(arrival.attempt_id, error, pace)),
        Err(error) => Err(failed(&error)),
    }
}

fn not_kept(attempt_id: AttemptId, error: NotKept, pace: body::Pace) -> Problem {
    match error {
        NotKept::BrokeOff(error) => body::reading_failed(&error, pace),
        NotKept::Database(error) => error.into(),
        NotKept::UnknownAttempt => {
            // A token of ours for an attempt that the database does not know: it lags behind, or is the wrong one. When
            // that is mended, the callback is wanted.
            tracing::error!(attempt.id = %attempt_id, "A verified callback names an attempt that is not here");
            Problem::new(
                ProblemType::DatabaseUnavailable,
                "The attempt is not known here yet. Come again.",
            )
            .with_retry_after(UNKNOWN_RETRY_AFTER)
        }
        NotKept::Spool(error) => {
            tracing::error!(%error, attempt.id = %attempt_id, "CALLBACK_SPOOL_DIR: cannot keep a callback");
            come_again("The callback can be kept nowhere at the moment.")
        }
        NotKept::Crashed => failed(&error),
    }
}

fn come_again(why: &str) -> Problem {
    Problem::new(
        ProblemType::DatabaseUnavailable,
        format!("{why} Nothing was kept; come again."),
    )
    .with_retry_after(RETRY_AFTER)
}

fn failed(error: &impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "Handling a callback failed");
    Problem::new(
        ProblemType::Internal,
        "The callback was not kept. Come again.",
    )
}
