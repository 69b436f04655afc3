//! `GET /v2/pre-recorded/{id}`: one job. A failed job is a success of this request.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use uuid::Uuid;

use super::{envelope::ApiError, job_view::JobView};
use crate::dev_tools::simulator::state;

pub(super) async fn handler(
    State(state): State<Arc<state::State>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id: Uuid = id.parse().map_err(|_| ApiError::not_found())?;
    let job = state
        .store()
        .job(id)
        .cloned()
        .ok_or_else(ApiError::not_found)?;
    Ok(Json(JobView::from(&job)).into_response())
}
