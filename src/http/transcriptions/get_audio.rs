//! `GET /v1/transcriptions/{id}/audio`: the original, streamed from Gladia.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};

use super::lookup::find;
use crate::{
    db::pool::in_time,
    domain::ids::{JobId, TenantId},
    gladia::error::GladiaError,
    http::{
        answer::compression::AsItIs,
        auth::Reader,
        problem::{Problem, ProblemType},
        request::id_path::IdPath,
        request_scope::pause_during,
        server::overload::{FILE_BYTES, Takes},
        state::AppState,
    },
};

/// What the storage says of the file and is passed on. Nothing else is: the storage's own headers are its affair.
const PASSED_ON: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::ETAG,
    header::LAST_MODIFIED,
];

/// Get a transcription's original audio.
///
/// Streams it from where Gladia keeps it. A `Range` header is passed on, but beside `If-Range`, where the whole comes.
#[utoipa::path(
    get,
    path = "/v1/transcriptions/{id}/audio",
    tag = "transcriptions",
    params(
        ("id" = String, Path, format = Uuid, description = "The transcription's id."),
        ("Range" = Option<String>, Header, description = "A part of the file."),
    ),
    responses(
        (status = 200, description = "The audio. `Content-Type` is what its storage says, which may be the audio's own.", body = Vec<u8>, content_type = "application/octet-stream", headers(
            ("Content-Disposition" = String, description = "That it is a file."),
            ("ETag" = String, description = "What its storage says."),
            ("Last-Modified" = String, description = "What its storage says."),
            ("Accept-Ranges" = String, description = "Whether parts can be asked for."),
        )),
        (status = 206, description = "The part that was asked for.", body = Vec<u8>, content_type = "application/octet-stream", headers(
            ("Content-Disposition" = String, description = "That it is a file."),
            ("Content-Range" = String, description = "Which part it is, and how long the file."),
            ("ETag" = String, description = "What its storage says."),
        )),
        (status = 403, description = "The Gladia account has zero data retention and keeps no audio (`zero-data-retention`)."),
        (status = 404, description = "There is no such transcription (`not-found`), or Gladia no longer has its audio, or it has ended and is not known to have reached Gladia (`audio-not-found`)."),
        (status = 409, description = "Gladia does not have it yet (`audio-not-ready`)."),
        (status = 410, description = "The transcription was erased; `erased` is the receipt (`transcription-deleted`)."),
        (status = 416, description = "The file has no such part."),
        (status = 502, description = "Gladia failed (`upstream-failed`)."),
        (status = 503, description = "Gladia (`upstream-unavailable`) or the database (`database-unavailable`) is not available."),
    ),
)]
pub async fn get_transcription_audio(
    State(state): State<AppState>,
    Reader(caller): Reader,
    IdPath(id): IdPath<JobId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    open(&state, caller.tenant_id, id, &headers).await
}

/// Opens a transcription's audio where Gladia keeps it, or the part that the caller's headers ask for.
///
/// # Errors
/// Where Gladia does not have it, not yet or not any more, or cannot be reached.
pub async fn open(
    state: &AppState,
    tenant_id: TenantId,
    id: JobId,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    // Whether an If-Range holds, only the storage could tell. The whole is right in any case.
    let range = headers
        .get(header::RANGE)
        .filter(|_| !headers.contains_key(header::IF_RANGE));
    let looking = state.with_conn(async |conn| in_time(find(conn, tenant_id, id)).await);
    let job = looking.await?;
    if state.zero_data_retention {
        return Err(Problem::zero_data_retention(
            "The Gladia account has zero data retention, so Gladia keeps no audio. It is where audio_url says.",
        ));
    }
    let Some(gladia_id) = job.gladia_id else {
        return Err(if job.status.is_terminal() {
            Problem::new(
                ProblemType::AudioNotFound,
                "The transcription has ended, and no job of Gladia's is known that would have its audio. Where it came from elsewhere, \
                 `audio_url` says from where.",
            )
        } else {
            Problem::new(
                ProblemType::AudioNotReady,
                "Gladia does not have the audio yet. Ask again later.",
            )
        });
    };
    let upstream = match pause_during(state.gladia.audio(&gladia_id, range)).await {
        Ok(response) => response,
        Err(GladiaError::Refused { .. }) => {
            return Err(Problem::new(
                ProblemType::AudioNotFound,
                "Gladia does not have the audio, or not any more. Where it came from elsewhere, `audio_url` says from where.",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = upstream.status();
    for name in PASSED_ON {
        if let Some(value) = upstream.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    // A browser must not run what somebody uploaded; that it must not guess either is said in every answer.
    response.headers_mut().insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment"),
    );
    // Its length, its parts and its tag are those of the file as it is.
    response.extensions_mut().insert(AsItIs);
    response.extensions_mut().insert(Takes(FILE_BYTES));
    *response.body_mut() = Body::from_stream(upstream.bytes_stream());
    Ok(response)
}
