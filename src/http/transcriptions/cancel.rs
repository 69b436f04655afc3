//! `POST /v1/transcriptions/{id}/cancel`.

use axum::{Extension, Json, extract::State};

use super::{lookup::find, view::Transcription};
use crate::{
    db::{self, jobs::endings::Moved},
    domain::ids::JobId,
    http::{
        auth::Writer,
        problem::{Problem, ProblemType},
        request::id_path::IdPath,
        server::overload::ChangedNothing,
        state::AppState,
    },
};

/// Cancel a transcription.
///
/// One that waits in the queue never reaches Gladia and costs nothing. One that Gladia may have cannot be stopped there: it
/// may still be billed, and its result is discarded; `status_reason` says which it was. Canceling twice is the same as once.
#[utoipa::path(
    post,
    path = "/v1/transcriptions/{id}/cancel",
    tag = "transcriptions",
    params(("id" = String, Path, format = Uuid, description = "The transcription's id.")),
    responses(
        (status = 200, description = "It is canceled.", body = Transcription),
        (status = 404, description = "There is no such transcription."),
        (status = 409, description = "It has ended already (`already-ended`)."),
        (status = 410, description = "It was erased; `erased` is the receipt (`transcription-deleted`)."),
    ),
)]
pub async fn cancel_transcription(
    State(state): State<AppState>,
    Writer(caller): Writer,
    IdPath(id): IdPath<JobId>,
) -> Result<(Option<Extension<ChangedNothing>>, Json<Transcription>), Problem> {
    let canceling = state.with_conn(async |conn| {
        let moved = db::jobs::endings::cancel(conn, caller.tenant_id, id).await?;
        match moved {
            // Of an erased one, the look gives the receipt.
            Moved::Done | Moved::Before | Moved::Deleted => {
                state.wakeups.events_added();
                let canceled = find(conn, caller.tenant_id, id).await?;
                let nothing = (moved == Moved::Before).then_some(Extension(ChangedNothing));
                Ok((nothing, Json(canceled.into())))
            }
            Moved::AlreadyEnded(status) => Err(Problem::new(
                ProblemType::AlreadyEnded,
                format!("The transcription has ended as `{status}`. To erase it, delete it."),
            )),
            Moved::NotFound => Err(Problem::no_such_transcription()),
        }
    });
    canceling.await
}
