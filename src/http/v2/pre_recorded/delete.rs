//! `DELETE /v2/pre-recorded/{id}`: erases a job that has ended, here and at Gladia.

use axum::{extract::State, http::StatusCode};

use crate::{
    db::{self, jobs::endings::DeletedEnded},
    domain::ids::JobId,
    http::{
        request::id_path::IdPath,
        state::AppState,
        v2::{auth::KeyedWriter, error::V2Error},
    },
};

/// Answers 202 as Gladia does. Of a job that still runs nothing is touched.
pub async fn delete_job(
    State(state): State<AppState>,
    KeyedWriter(caller): KeyedWriter,
    IdPath(id): IdPath<JobId>,
) -> Result<StatusCode, V2Error> {
    let deletes_at_gladia = !state.zero_data_retention;
    let deleting = state.with_conn(async |conn| {
        db::jobs::endings::delete_ended(conn, caller.tenant_id, id, deletes_at_gladia).await
    });
    match deleting.await? {
        DeletedEnded::Done => {
            state.wakeups.events_added();
            Ok(StatusCode::ACCEPTED)
        }
        DeletedEnded::StillRuns => Err(V2Error::new(StatusCode::FORBIDDEN, "Invalid parameter")),
        DeletedEnded::NotFound => Err(V2Error::not_found()),
    }
}
