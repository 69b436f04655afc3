//! `DELETE /v2/pre-recorded/{id}`: forgets a job that has ended.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use uuid::Uuid;

use super::envelope::ApiError;
use crate::dev_tools::simulator::state;

pub(super) async fn handler(
    State(state): State<Arc<state::State>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id: Uuid = id.parse().map_err(|_| ApiError::not_found())?;
    let mut store = state.store();
    let job = store
        .jobs
        .get_mut(&id)
        .filter(|job| !job.deleted)
        .ok_or_else(ApiError::not_found)?;
    if !job.status.has_ended() {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "Invalid parameter"));
    }
    job.deleted = true;
    job.result = None;
    job.file = None;
    Ok(StatusCode::ACCEPTED)
}
