//! `GET /v1/transcriptions/{id}`: the job, with its result when done.

use axum::{extract::State, response::Response};

use super::{
    lookup::{JobPath, find},
    result::read,
    view::Transcription,
};
use crate::http::{
    auth::Reader,
    problem::{Problem, ProblemBody},
    state::AppState,
};

/// Get a transcription.
#[utoipa::path(
    get,
    path = "/v1/transcriptions/{id}",
    tag = "transcriptions",
    params(("id" = String, Path, format = Uuid, description = "The transcription's id.")),
    responses(
        (status = 200, description = "The transcription, with its result when done.", body = Transcription),
        (status = 401, description = "No valid API key.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such transcription.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 410, description = "It was erased; `erased` is the receipt.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The database is not available.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn get_transcription(
    State(state): State<AppState>,
    Reader(caller): Reader,
    JobPath(id): JobPath,
) -> Result<Response, Problem> {
    let job = find(&mut *state.pool.acquire().await?, caller.tenant_id, id).await?;
    let result = match job.result_callback_id {
        Some(callback_id) => Some(read(&state, callback_id).await?),
        None => None,
    };
    Transcription::from(job).with_result(result)
}
