//! `POST /v1/admin/callbacks/{id}/replay`: a quarantined callback, tried again.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    db::callbacks::CallbackOutcome,
    domain::ids::CallbackId,
    http::{
        auth::Admin,
        problem::{Problem, ProblemType},
        request::id_path::IdPath,
        state::AppState,
    },
    journal::replay::{ReplayError, replay},
};

/// What came of a replay.
#[derive(Serialize, ToSchema)]
pub struct ReplayedCallback {
    /// `completed`, `failed`, `superseded` or `discarded`: it is carried out. `quarantined`: it still cannot be.
    pub outcome: &'static str,
}

/// Replay a quarantined callback.
///
/// One that can be carried out now completes its transcription as if it had just arrived. One that cannot stays where it
/// is. One that has been carried out is not quarantined any more: another replay does nothing, and is answered 404. It needs
/// an API key of scope `admin`.
#[utoipa::path(
    post,
    path = "/v1/admin/callbacks/{id}/replay",
    tag = "admin",
    params(("id" = String, Path, format = Uuid, description = "The callback's id.")),
    responses(
        (status = 200, description = "It was tried.", body = ReplayedCallback),
        (status = 404, description = "There is no quarantined callback of this id."),
    ),
)]
pub async fn replay_callback(
    State(state): State<AppState>,
    Admin(caller): Admin,
    IdPath(id): IdPath<CallbackId>,
) -> Result<Json<ReplayedCallback>, Problem> {
    let none = || {
        Problem::new(
            ProblemType::NotFound,
            "There is no quarantined callback with this id. GET /v1/admin/callbacks shows those that there are.",
        )
    };
    let replaying = state.with_conn(async |conn| replay(conn, id, state.ids.next()).await);
    let outcome = match replaying.await {
        Ok(outcome) => outcome.ok_or_else(none)?,
        Err(ReplayError::Database(error)) => return Err(error.into()),
        Err(ReplayError::Unreadable(error)) => {
            tracing::error!(%error, callback.id = %id, "A kept callback cannot be unpacked");
            return Err(Problem::new(
                ProblemType::Internal,
                "The kept callback cannot be unpacked. The gateway's log has the cause.",
            ));
        }
    };
    // A slot may be free.
    state.wakeups.jobs_changed();
    // The same body, quarantined again, changes nothing.
    let outcome = match outcome {
        CallbackOutcome::Duplicate => CallbackOutcome::Quarantined,
        other => other,
    }
    .as_str();
    tracing::info!(callback.id = %id, api_key.id = %caller.api_key_id, outcome, "Replayed callback {id}: {outcome}");
    Ok(Json(ReplayedCallback { outcome }))
}
