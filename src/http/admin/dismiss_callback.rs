//! `POST /v1/admin/callbacks/{id}/dismiss`: a kept callback that nobody needs any more.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    db::callbacks::quarantine,
    domain::ids::{CallbackId, JobId},
    http::{
        auth::Admin,
        problem::{Problem, ProblemType},
        request::id_path::IdPath,
        state::AppState,
    },
};

/// A callback that is not listed any more.
#[derive(Serialize, ToSchema)]
pub struct DismissedCallback {
    /// The transcription that it is about. The callback is kept until that is erased.
    pub transcription_id: JobId,
}

/// Dismiss a callback that was quarantined or too large.
///
/// It is neither listed nor counted any more. It is kept as it came until its transcription is erased, and can be replayed all
/// the same. Doing it twice is the same as once. It needs an API key of scope `admin`.
#[utoipa::path(
    post,
    path = "/v1/admin/callbacks/{id}/dismiss",
    tag = "admin",
    params(("id" = String, Path, format = Uuid, description = "The callback's id.")),
    responses(
        (status = 200, description = "It is dismissed.", body = DismissedCallback),
        (status = 404, description = "There is no quarantined or too large callback of this id."),
    ),
)]
pub async fn dismiss_callback(
    State(state): State<AppState>,
    Admin(caller): Admin,
    IdPath(id): IdPath<CallbackId>,
) -> Result<Json<DismissedCallback>, Problem> {
    let none = || {
        Problem::new(
            ProblemType::NotFound,
            "There is no quarantined or too large callback with this id. GET /v1/admin/callbacks shows those that there are.",
        )
    };
    let dismissing = state.with_conn(async |conn| quarantine::dismiss(conn, id).await);
    let transcription_id = dismissing.await?.ok_or_else(none)?;
    tracing::info!(callback.id = %id, job.id = %transcription_id, api_key.id = %caller.api_key_id, "Dismissed callback {id}");
    Ok(Json(DismissedCallback { transcription_id }))
}
