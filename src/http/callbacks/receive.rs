//! `POST|PUT /callbacks/gladia/{attempt}/{token}`: a result arrives.
//!
//! The token is verified before a byte of the body is read. The body is kept as it came, whatever it says, in the one
//! commit that also finishes the job; 2xx follows that commit, and nothing else does.

use std::{str::FromStr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use tracing::Instrument;

use crate::{
    crash_points::CrashPoint,
    db::callbacks::CallbackOutcome,
    domain::ids::AttemptId,
    gladia::callback::Shape,
    http::{
        body,
        problem::{Problem, ProblemType},
        state::AppState,
    },
    journal::{body::KeptBody, carry_out::carry_out},
};

/// How long a callback waits for its turn before Gladia is asked to come again.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// Receives a callback.
pub async fn receive_callback(
    State(state): State<AppState>,
    path: Result<Path<(String, String)>, PathRejection>,
    method: Method,
    body: Body,
) -> Response {
    let named = path
        .ok()
        .and_then(|Path((attempt, token))| verify(&state, &attempt, &token));
    let Some(attempt_id) = named else {
        metrics::counter!("gateway_callbacks_total", "outcome" => "unverified").increment(1);
        tracing::warn!("Refused a callback whose token is wrong");
        return Problem::new(ProblemType::NotFound, "There is nothing here.").into_response();
    };
    CrashPoint::CallbackVerified.reach();
    match receive(&state, attempt_id, method, body).await {
        Ok(CallbackOutcome::UnknownAttempt) => {
            // A token of ours for an attempt that the database does not know: it lags behind, or is the wrong one. When
            // that is mended, the callback is wanted.
            tracing::error!(attempt.id = %attempt_id, "A verified callback names an attempt that is not here");
            Problem::new(
                ProblemType::DatabaseUnavailable,
                "The attempt is not known here yet. Come again.",
            )
            .retry_after(Duration::from_mins(1))
            .into_response()
        }
        Ok(_) => StatusCode::OK.into_response(),
        Err(problem) => {
            metrics::counter!("gateway_callbacks_total", "outcome" => "not_kept").increment(1);
            problem.into_response()
        }
    }
}

fn verify(state: &AppState, attempt: &str, token: &str) -> Option<AttemptId> {
    let attempt_id = AttemptId::from_str(attempt).ok()?;
    state
        .callback_keys
        .verify(attempt_id, token)
        .then_some(attempt_id)
}

/// Waits for a turn. From then on the callback, once its body is here, is carried out whether Gladia waits for the answer or
/// not: it may never send it again.
async fn receive(
    state: &AppState,
    attempt_id: AttemptId,
    method: Method,
    body: Body,
) -> Result<CallbackOutcome, Problem> {
    let busy = || {
        Problem::new(
            ProblemType::DatabaseUnavailable,
            "Too many callbacks at once. Nothing was kept; come again.",
        )
        .retry_after(Duration::from_secs(5))
    };
    let permits = Arc::clone(&state.callback_permits);
    let turn = tokio::time::timeout(TURN_TIMEOUT, permits.acquire_owned())
        .await
        .map_err(|_| busy())?
        .map_err(|_| busy())?;
    let state = state.clone();
    let kept = state.tasks.clone().spawn(
        async move {
            let kept = keep(&state, attempt_id, &method, body).await;
            drop(turn);
            kept
        }
        .in_current_span(),
    );
    kept.await.map_err(|error| failed(&error))?
}

/// Keeps a body, as it arrives, and carries out what it says.
async fn keep(
    state: &AppState,
    attempt_id: AttemptId,
    method: &Method,
    body: Body,
) -> Result<CallbackOutcome, Problem> {
    let timeout = state.limits.request_timeout;
    let source = body::blocking_reader(body, timeout);
    let limit = state.limits.max_callback_bytes;
    let reading = move || KeptBody::read_within(source, Shape::Callback, limit);
    let body = tokio::task::spawn_blocking(reading)
        .await
        .map_err(|error| failed(&error))?
        .map_err(|error| body::reading_failed(&error, timeout))?
        .map_err(|_| {
            Problem::new(
                ProblemType::PayloadTooLarge,
                format!("A callback may have {limit} bytes at most."),
            )
        })?;
    let mut conn = state.pool.acquire().await?;
    let id = state.ids.next();
    CrashPoint::CallbackReceived.reach();
    let outcome = carry_out(&mut conn, id, attempt_id, method.as_str(), &body).await?;
    metrics::counter!("gateway_callbacks_total", "outcome" => outcome.as_str()).increment(1);
    if outcome == CallbackOutcome::UnknownAttempt {
        return Ok(outcome);
    }
    crash_point_after(outcome).reach();
    tracing::info!(
        attempt.id = %attempt_id,
        outcome = outcome.as_str(),
        body_bytes = body.body_bytes(),
        "Received a callback of attempt {attempt_id}: {}",
        outcome.as_str()
    );
    // A slot is free, whatever became of the job.
    state.wakeups.jobs_changed();
    Ok(outcome)
}

fn crash_point_after(kept: CallbackOutcome) -> CrashPoint {
    match kept {
        CallbackOutcome::Quarantined => CrashPoint::CallbackQuarantined,
        _ => CrashPoint::CallbackKept,
    }
}

fn failed(error: &impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "Handling a callback failed");
    Problem::new(
        ProblemType::Internal,
        "The callback was not kept. Come again.",
    )
}
