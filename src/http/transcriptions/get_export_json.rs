//! `GET /v1/transcriptions/{id}/export/json`: the result as a file.
//!
//! The formats of text are another operation, since a generated client has one type for what an operation answers.

use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};

use super::{
    export_query::ExportFormat,
    get_export::{ExportPath, export},
};
use crate::{
    domain::{ids::JobId, transcript::TranscriptionResult},
    http::{
        answer::compression::Preferred, auth::Reader, problem::Problem, request::id_path::IdPath,
        state::AppState,
    },
};

/// Export a transcription's result.
///
/// Gladia's result object, byte for byte, as a file with the name of the recording.
#[utoipa::path(
    get,
    path = "/v1/transcriptions/{id}/export/json",
    tag = "transcriptions",
    params(
        ("id" = String, Path, format = Uuid, description = "The transcription's id."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the caller has."),
    ),
    responses(
        (
            status = 200, description = "The file. `Content-Disposition` has its name.", body = TranscriptionResult,
            headers(
                ("Content-Disposition" = String, description = "That it is a file, and its name."),
                ("ETag" = String, description = "Stays the same until a newer version of the gateway renders in another way."),
            ),
        ),
        (
            status = 304, description = "It is what the caller has.",
            headers(("ETag" = String, description = "The same one.")),
        ),
        (status = 400, description = "It takes no parameters (`invalid-parameter`)."),
        (status = 404, description = "There is no such transcription."),
        (status = 409, description = "It has no result, or none yet (`result-not-ready`)."),
        (status = 410, description = "It was erased; `erased` is the receipt (`transcription-deleted`)."),
    ),
)]
pub async fn get_transcription_export_json(
    State(state): State<AppState>,
    Reader(caller): Reader,
    IdPath(id): IdPath<JobId>,
    query: RawQuery,
    preferred: Preferred,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let format = ExportFormat::Json;
    let path = ExportPath { id, format };
    export(&state, caller.tenant_id, path, query, preferred, &headers).await
}
