//! `GET /v1/transcriptions/{id}/result`: the result alone.

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::{
    lookup::{JobPath, find},
    result::{no_result, read},
};
use crate::{
    domain::transcript::TranscriptionResult,
    http::{
        auth::Reader,
        problem::{Problem, ProblemBody},
        state::AppState,
    },
};

/// Get a transcription's result.
///
/// Gladia's result object, byte for byte as it came.
#[utoipa::path(
    get,
    path = "/v1/transcriptions/{id}/result",
    tag = "transcriptions",
    params(("id" = String, Path, format = Uuid, description = "The transcription's id.")),
    responses(
        (status = 200, description = "The result.", body = TranscriptionResult),
        (status = 401, description = "No valid API key.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such transcription.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "It has no result, or none yet.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 410, description = "It was erased; `erased` is the receipt.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The database is not available.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn get_transcription_result(
    State(state): State<AppState>,
    Reader(caller): Reader,
    JobPath(id): JobPath,
) -> Result<Response, Problem> {
    let job = find(&mut *state.pool.acquire().await?, caller.tenant_id, id).await?;
    let callback_id = job.result_callback_id.ok_or_else(|| no_result(&job))?;
    let json = HeaderValue::from_static("application/json");
    let result = read(&state, callback_id).await?;
    Ok(([(header::CONTENT_TYPE, json)], result).into_response())
}
