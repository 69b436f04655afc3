//! `GET /v1/transcriptions/{id}/result`: the result alone.

use axum::{Json, extract::State};
use serde_json::value::RawValue;

use super::result::{JobPath, find, no_result, read};
use crate::http::{
    auth::Reader,
    problem::{Problem, ProblemBody},
    state::AppState,
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
        (status = 200, description = "The result.", body = Object),
        (status = 401, description = "No valid API key.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such transcription.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "It has no result, or none yet.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 410, description = "It was deleted.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The database is not available.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn get_transcription_result(
    State(state): State<AppState>,
    Reader(caller): Reader,
    JobPath(id): JobPath,
) -> Result<Json<Box<RawValue>>, Problem> {
    let mut conn = state.pool.acquire().await?;
    let job = find(&mut conn, caller.tenant_id, id).await?;
    match job.result_callback_id {
        Some(callback_id) => Ok(Json(read(&mut conn, callback_id).await?)),
        None => Err(no_result(&job)),
    }
}
