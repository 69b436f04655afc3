//! `GET /v2/pre-recorded/{id}`: one job. A failed job is a success of this request. Gladia is not asked.

use axum::{extract::State, response::Response};

use super::view::{JobView, NO_RESULT};
use crate::{
    domain::ids::JobId,
    http::{
        answer::compression::Preferred,
        request::id_path::IdPath,
        state::AppState,
        transcriptions::{
            lookup::find,
            result::shown_with,
            view::{with_result, written},
        },
        v2::{auth::KeyedReader, error::V2Error, links::Base},
    },
};

/// Answers a job with its result.
pub async fn get_job(
    State(state): State<AppState>,
    KeyedReader(caller): KeyedReader,
    base: Base,
    IdPath(id): IdPath<JobId>,
) -> Result<Response, V2Error> {
    let looking = state.with_conn(async |conn| find(conn, caller.tenant_id, id).await);
    let job = looking.await?;
    let callback_id = job.result_callback_id;
    let shown = written(&JobView::of(job, &base))?;
    match callback_id {
        // In plain text, which is what Gladia answers.
        Some(callback_id) => {
            let shown = shown_with(&state, shown, callback_id, None, Preferred::Identity);
            Ok(shown.await?)
        }
        None => Ok(with_result(shown, Some(NO_RESULT))),
    }
}
