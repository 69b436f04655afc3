//! `DELETE /v1/transcriptions/{id}`.

use axum::{extract::State, http::StatusCode};

use crate::{
    db::{self, jobs::endings::Moved},
    domain::ids::JobId,
    http::{auth::Writer, problem::Problem, request::id_path::IdPath, state::AppState},
};

/// Delete a transcription.
///
/// Erases the gateway's copy of everything in it at once: options, audio reference, result. One that has not ended is
/// canceled too. Gladia's copy is deleted as soon as Gladia allows it, which is when it has ended there; asking for the
/// transcription then gives 410 with a receipt that says how far this is. Deleting twice is the same as once.
#[utoipa::path(
    delete,
    path = "/v1/transcriptions/{id}",
    tag = "transcriptions",
    params(("id" = String, Path, format = Uuid, description = "The transcription's id.")),
    responses(
        (status = 204, description = "It is erased."),
        (status = 404, description = "There is no such transcription."),
    ),
)]
pub async fn delete_transcription(
    State(state): State<AppState>,
    Writer(caller): Writer,
    IdPath(id): IdPath<JobId>,
) -> Result<StatusCode, Problem> {
    let deletes_at_gladia = !state.zero_data_retention;
    let moved = state
        .with_conn(async |conn| {
            db::jobs::endings::delete(conn, caller.tenant_id, id, deletes_at_gladia).await
        })
        .await?;
    match moved {
        Moved::NotFound => Err(Problem::no_such_transcription()),
        Moved::Done | Moved::Before | Moved::Deleted | Moved::AlreadyEnded(_) => {
            state.wakeups.events_added();
            Ok(StatusCode::NO_CONTENT)
        }
    }
}
