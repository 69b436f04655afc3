//! `GET /v2/pre-recorded/{id}/file`: the audio.
//!
//! Gladia sends its callers on to a storage. Here the file comes through: where it is kept opens it for anybody, and a client
//! that takes its key along to another host takes it nowhere.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};

use crate::{
    domain::ids::JobId,
    http::{
        problem::{Problem, ProblemType},
        request::id_path::IdPath,
        state::AppState,
        transcriptions::get_audio,
        v2::{auth::KeyedReader, error::V2Error},
    },
};

/// Answers the file.
pub async fn get_file(
    State(state): State<AppState>,
    KeyedReader(caller): KeyedReader,
    IdPath(id): IdPath<JobId>,
    headers: HeaderMap,
) -> Result<Response, V2Error> {
    let mut response = get_audio::open(&state, caller.tenant_id, id, &headers)
        .await
        .map_err(refusal)?;
    // What the storage takes it for may be JSON, which clients would parse.
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    Ok(response)
}

/// Whatever the reason is that there is no file, Gladia has one word for it.
fn refusal(problem: Problem) -> V2Error {
    match problem.kind() {
        ProblemType::AudioNotFound
        | ProblemType::AudioNotReady
        | ProblemType::ZeroDataRetention => V2Error::not_found(),
        _ => problem.into(),
    }
}
