//! `POST|PUT /callbacks/gladia/{attempt}/{token}`: a result arrives.
//!
//! The token is verified before a byte of the body is read. The body is kept as it came, whatever it says, in the one
//! commit that also finishes the job; 2xx follows that commit, and nothing else does.

use std::{panic::catch_unwind, str::FromStr, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Path, State, rejection::PathRejection},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use tokio::task::JoinError;
use tracing::Instrument;

use crate::{
    db::{
        self,
        callbacks::{self, CallbackOutcome, ReceivedCallback},
    },
    domain::{completion::Completion, ids::AttemptId},
    gladia::callback::parse,
    http::{
        body,
        problem::{Problem, ProblemType},
        state::AppState,
    },
};

/// Results are text; the lowest level is where time is best spent.
const ZSTD_LEVEL: i32 = 1;

/// How long a callback waits for its turn before Gladia is asked to come again.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a callback that lost against another transaction is tried.
const RECORD_TRIES: u32 = 3;

/// How long it steps aside for the other one, the first time.
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);

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

/// Waits for a turn and for the body. From then on the callback is carried out whether Gladia waits for the answer or not:
/// it may never send it again.
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
    let body = body::read(
        body,
        state.limits.max_callback_bytes,
        state.limits.request_timeout,
    )
    .await?;
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

/// Keeps a body and carries out what it says.
async fn keep(
    state: &AppState,
    attempt_id: AttemptId,
    method: &Method,
    body: Bytes,
) -> Result<CallbackOutcome, Problem> {
    let understood = tokio::task::spawn_blocking(move || understand(&body))
        .await
        .map_err(|error| failed(&error))??;

    let callback = ReceivedCallback {
        id: state.ids.next(),
        attempt_id,
        method: method.as_str(),
        compressed_body: &understood.compressed_body,
        body_bytes: understood.body_bytes,
        body_sha256: understood.body_sha256,
        completion: understood.completion.as_ref().map_err(String::as_str),
    };
    let mut conn = state.pool.acquire().await?;
    let outcome = record(&mut conn, &callback).await?;
    metrics::counter!("gateway_callbacks_total", "outcome" => outcome.as_str()).increment(1);
    if outcome == CallbackOutcome::UnknownAttempt {
        return Ok(outcome);
    }
    tracing::info!(
        attempt.id = %attempt_id,
        outcome = outcome.as_str(),
        body_bytes = understood.body_bytes,
        "Received a callback of attempt {attempt_id}: {}",
        outcome.as_str()
    );
    // A slot is free, whatever became of the job.
    state.wakeups.jobs_changed();
    Ok(outcome)
}

fn failed(error: &JoinError) -> Problem {
    tracing::error!(%error, "Handling a callback failed");
    Problem::new(
        ProblemType::Internal,
        "The callback was not kept. Come again.",
    )
}

/// Carries the callback out; or, where that fails for a reason that will not go away, keeps it for somebody to look at.
async fn record(
    conn: &mut PgConnection,
    callback: &ReceivedCallback<'_>,
) -> sqlx::Result<CallbackOutcome> {
    let mut tries = 1;
    loop {
        match callbacks::record(conn, callback).await {
            Err(error) if db::is_conflict(&error) && tries < RECORD_TRIES => {
                tokio::time::sleep(CONFLICT_PAUSE * tries).await;
                tries += 1;
            }
            Err(error) if !db::is_unavailable(&error) => {
                tracing::error!(%error, attempt.id = %callback.attempt_id, "Could not carry out a callback; quarantined it");
                return callbacks::quarantine(conn, callback, "carrying it out failed").await;
            }
            result => return result,
        }
    }
}

/// A body, read once.
struct Understood {
    compressed_body: Vec<u8>,
    body_bytes: i64,
    body_sha256: [u8; 32],
    completion: Result<Completion, String>,
}

/// Everything that takes time in proportion to the body's size.
fn understand(body: &Bytes) -> Result<Understood, Problem> {
    let compressed_body = zstd::encode_all(body.as_ref(), ZSTD_LEVEL).map_err(|error| {
        tracing::error!(%error, "Compressing a callback failed");
        Problem::new(ProblemType::Internal, "Keeping the callback failed.")
    })?;
    Ok(Understood {
        compressed_body,
        body_bytes: i64::try_from(body.len()).unwrap_or(i64::MAX),
        body_sha256: Sha256::digest(body).into(),
        // A mistake of ours must not cost the only copy of a result.
        completion: catch_unwind(|| parse(body))
            .unwrap_or_else(|_| Err("reading it failed".to_owned())),
    })
}
