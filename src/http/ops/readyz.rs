//! `GET /readyz`: whether a load balancer should send requests here.
//!
//! Ready means that callbacks can be kept: in the spool, or where there is none, or it cannot be written, in Postgres.
//! `?for=api` asks for what callers need, which is Postgres. One that takes no writes, as a standby, is as good as none. A gateway
//! that is about to end is not ready, though it still does all that it is asked for: whoever asks here is to send nothing more.

use std::time::Duration;

use axum::{
    Extension,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::Readings;
use crate::{
    db::{self, pool::Pool},
    http::{
        problem::{Problem, ProblemType},
        state::AppState,
    },
};

/// A database that takes longer is taken for away.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

const NOT_BROUGHT_UP: &str = "the gateway is waiting for its database to be brought up\n";

/// Looks whether what is asked for can be done.
pub async fn get_readyz(
    State(state): State<AppState>,
    Extension(readings): Extension<Readings>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let mut is_for_api = false;
    for (name, value) in &query {
        match (name.as_str(), value.as_str()) {
            ("for", "api") => is_for_api = true,
            ("for", "callbacks") => is_for_api = false,
            ("for", _) => {
                return Problem::new(
                    ProblemType::InvalidParameter,
                    "`for` must be `api` or `callbacks`; without it callbacks are meant.",
                )
                .into_response();
            }
            _ => {}
        }
    }
    if state.leaving.is_cancelled() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "this gateway is about to end\n",
        )
            .into_response();
    }
    // Before that it may turn out to be of no use, and whoever came before it is still there.
    if !state.start.is_decided() {
        return (StatusCode::SERVICE_UNAVAILABLE, NOT_BROUGHT_UP).into_response();
    }
    // The disk answers sooner than a database that does not. One that does not either counts as one that cannot be written.
    if !is_for_api
        && let Some(spool) = state.intake.spool()
        && spool.is_writable().await
    {
        return "ok\n".into_response();
    }
    match find_fault_of_database(&state, &readings).await {
        None => "ok\n".into_response(),
        Some(fault) => (StatusCode::SERVICE_UNAVAILABLE, fault).into_response(),
    }
}

/// Why the database is of no use, if so.
async fn find_fault_of_database(state: &AppState, readings: &Readings) -> Option<&'static str> {
    // Migrations may take long, and it answers all the while.
    if !state.start.is_up() {
        return Some(NOT_BROUGHT_UP);
    }
    let answered = readings.takes_writes.get(|| ping(state.pool.clone()));
    match answered.await {
        Some(true) => None,
        Some(false) => Some("the database takes no writes\n"),
        _ => Some("the database does not answer\n"),
    }
}

/// Whether the database takes writes, where it answers.
async fn ping(pool: Pool) -> Option<bool> {
    let answered = tokio::time::timeout(PING_TIMEOUT, db::ping(&pool)).await;
    answered.ok()?.ok()
}
