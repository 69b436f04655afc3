//! `GET /v2/pre-recorded/{id}/file`: sends the caller to the storage, which is another origin.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use uuid::Uuid;

use super::envelope::ApiError;
use crate::dev_tools::simulator::{bucket, state};

pub(super) async fn handler(
    State(state): State<Arc<state::State>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id: Uuid = id.parse().map_err(|_| ApiError::not_found())?;
    let store = state.store();
    let file = store
        .job(id)
        .and_then(|job| store.file(job.file.as_ref()?.id))
        .filter(|file| file.content.is_some())
        .ok_or_else(ApiError::not_found)?;
    let location = bucket::presigned_url(&state.bucket_url, file);
    Ok((StatusCode::FOUND, [(header::LOCATION, location)]).into_response())
}
