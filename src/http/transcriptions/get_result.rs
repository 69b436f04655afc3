//! `GET /v1/transcriptions/{id}/result`: the result alone.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::{lookup::find_result_presumed, result::read_packed};
use crate::{
    domain::{ids::JobId, transcript::TranscriptionResult},
    http::{
        answer::{compression::Preferred, etag::ETag},
        auth::presumed::PresumedReader,
        problem::Problem,
        request::id_path::IdPath,
        state::AppState,
    },
};

/// Get a transcription's result.
///
/// Gladia's result object, byte for byte as it came. It is stored as zstd, and costs least to whoever accepts that.
#[utoipa::path(
    get,
    path = "/v1/transcriptions/{id}/result",
    tag = "transcriptions",
    params(
        ("id" = String, Path, format = Uuid, description = "The transcription's id."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the caller has."),
    ),
    responses(
        (
            status = 200, description = "The result.", body = TranscriptionResult,
            headers(("ETag" = String, description = "Stays the same for as long as the result is there.")),
        ),
        (
            status = 304, description = "It is what the caller has.",
            headers(("ETag" = String, description = "The same one.")),
        ),
        (status = 404, description = "There is no such transcription."),
        (status = 409, description = "It has no result, or none yet (`result-not-ready`)."),
        (status = 410, description = "It was erased; `erased` is the receipt (`transcription-deleted`)."),
    ),
)]
pub async fn get_transcription_result(
    State(state): State<AppState>,
    PresumedReader(presumed): PresumedReader,
    IdPath(id): IdPath<JobId>,
    preferred: Preferred,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Whoever names what it has may have it still.
    let wants_result = !headers.contains_key(header::IF_NONE_MATCH);
    let (callback_id, small) = find_result_presumed(&state, &presumed, id, wants_result).await?;
    // A row of its own holds the stored bytes, and they never change.
    let etag = ETag::of(&[callback_id.0.as_bytes()]);
    if etag.is_known(&headers) {
        return Ok(etag.not_modified());
    }
    let result = read_packed(&state, callback_id, small, preferred).await?;
    let json = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )];
    Ok((etag, json, result).into_response())
}
