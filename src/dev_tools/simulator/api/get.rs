//! `GET /v2/pre-recorded/{id}`: one job. A failed job is a success of this request. Whether its end shows here before it is told
//! by callback and webhook is not documented of Gladia; here it does, unless a fault lets it lag.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use uuid::Uuid;

use super::{envelope::ApiError, flaws::Flaws, job_view::JobView};
use crate::dev_tools::simulator::state::{self, Job, Status};

pub(super) async fn handler(
    State(state): State<Arc<state::State>>,
    Path(id): Path<String>,
    Extension(flaws): Extension<Flaws>,
) -> Result<Response, ApiError> {
    let id: Uuid = id.parse().map_err(|_| ApiError::not_found())?;
    let mut job = state
        .store()
        .job(id)
        .cloned()
        .ok_or_else(ApiError::not_found)?;
    if flaws.hide_end_of(&job) {
        job = before_its_end(job);
    }
    Ok(Json(JobView::from(&job)).into_response())
}

fn before_its_end(job: Job) -> Job {
    Job {
        status: Status::Processing,
        completed_at: None,
        result: None,
        error: None,
        ..job
    }
}
