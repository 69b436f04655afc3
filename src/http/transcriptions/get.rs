//! `GET /v1/transcriptions/{id}`: the job, with its result when done.

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};

use super::{
    lookup::{JobPath, find},
    result::read,
    view::{Transcription, with_result},
};
use crate::http::{
    auth::Reader,
    etag::ETag,
    problem::{Problem, ProblemBody},
    state::AppState,
};

/// Get a transcription.
///
/// Whoever waits for it asks with the `ETag` of the last answer, and is told that nothing has changed (304) for as long as
/// nothing has.
#[utoipa::path(
    get,
    path = "/v1/transcriptions/{id}",
    tag = "transcriptions",
    params(
        ("id" = String, Path, format = Uuid, description = "The transcription's id."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the caller has."),
    ),
    responses(
        (
            status = 200, description = "The transcription, with its result when done.", body = Transcription,
            headers(("ETag" = String, description = "Changes with whatever is shown.")),
        ),
        (
            status = 304, description = "It is what the caller has.",
            headers(("ETag" = String, description = "The same one.")),
        ),
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
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = find(&mut *state.pool.acquire().await?, caller.tenant_id, id).await?;
    let callback_id = job.result_callback_id;
    let shown = Transcription::from(job).written()?;
    let result_id = callback_id.map(|id| id.0.into_bytes()).unwrap_or_default();
    let etag = ETag::of(&[&shown, &result_id]);
    if etag.is_known(&headers) {
        return Ok(etag.not_modified());
    }
    let result = match callback_id {
        Some(callback_id) => Some(read(&state, callback_id).await?),
        None => None,
    };
    Ok((etag, with_result(shown, result)).into_response())
}
