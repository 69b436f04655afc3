//! `GET /readyz`: whether a load balancer should send requests here.
//!
//! Ready means that callbacks can be kept, which takes Postgres. `?for=api` asks for what callers need, which today is the
//! same.

use std::time::Duration;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::{db, http::state::AppState};

/// A database that takes longer is taken for away.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Looks whether the database answers.
pub async fn get_readyz(State(state): State<AppState>) -> Response {
    match tokio::time::timeout(PING_TIMEOUT, db::ping(&state.pool)).await {
        Ok(Ok(())) => "ok\n".into_response(),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer\n",
        )
            .into_response(),
    }
}
