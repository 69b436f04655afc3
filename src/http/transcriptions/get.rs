//! `GET /v1/transcriptions/{id}`: the job, with its result when done.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};

use super::{
    ending::find_ended,
    lookup::find_presumed,
    result::shown_with,
    view::{Transcription, with_result},
};
use crate::{
    db::jobs::Job,
    domain::ids::JobId,
    http::{
        answer::{
            compression::Preferred,
            etag::{ETag, Had},
        },
        auth::presumed::PresumedReader,
        problem::Problem,
        request::id_path::IdPath,
        state::AppState,
        wait::Wait,
    },
};

/// Get a transcription.
///
/// Whoever waits for it asks with the `ETag` of the last answer, and is told that nothing has changed (304) for as long as
/// nothing has. With `wait`, the answer comes when the transcription has ended, and is compared then.
#[utoipa::path(
    get,
    path = "/v1/transcriptions/{id}",
    tag = "transcriptions",
    params(
        ("id" = String, Path, format = Uuid, description = "The transcription's id."),
        ("wait" = Option<u32>, Query, minimum = 0, maximum = 60, description = "How many seconds to wait for its end where it has not ended. In the end it is answered as it is."),
        ("Prefer" = Option<String>, Header, description = "`wait=20` (RFC 7240): as the parameter `wait`, which wins over it. More than 60 means 60.", example = "wait=20"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the caller has."),
    ),
    responses(
        (
            status = 200, description = "The transcription, with its result when done.", body = Transcription,
            headers(
                ("ETag" = String, description = "Changes with whatever is shown."),
                ("Retry-After" = Option<u32>, description = "Where it was waited for and has not ended: after how many seconds to look again."),
                ("Preference-Applied" = Option<String>, description = "`wait=` and the seconds, where `Prefer` asked for them."),
            ),
        ),
        (
            status = 304, description = "It is what the caller has.",
            headers(("ETag" = String, description = "The same one.")),
        ),
        (status = 404, description = "There is no such transcription."),
        (status = 410, description = "It was erased; `erased` is the receipt (`transcription-deleted`)."),
    ),
)]
pub async fn get_transcription(
    State(state): State<AppState>,
    PresumedReader(presumed): PresumedReader,
    IdPath(id): IdPath<JobId>,
    mut wait: Wait,
    preferred: Preferred,
    had: Had,
) -> Result<Response, Problem> {
    // Whoever names what it has may have it still.
    let wants_result = had.is_unsaid();
    // What the looks and the answer take is not kept while the end is waited for.
    let mut job = Box::pin(find_presumed(&state, &presumed, id, wants_result)).await?;
    if !job.status.is_terminal() && !wait.at_most().is_zero() {
        drop(job);
        (job, wait) = find_ended(&state, presumed.caller(), id, wait).await?;
    }
    Box::pin(answer(&state, *job, had, preferred, wait)).await
}

async fn answer(
    state: &AppState,
    mut job: Job,
    had: Had,
    preferred: Preferred,
    wait: Wait,
) -> Result<Response, Problem> {
    let has_ended = job.status.is_terminal();
    let callback_id = job.result_callback_id;
    let small = job.result.take();
    let shown = Transcription::from(job).written()?;
    let result_id = callback_id.map(|id| id.0.into_bytes()).unwrap_or_default();
    let etag = ETag::of(&[&shown, &result_id]);
    let mut response = if had.is(&etag) {
        etag.not_modified()
    } else {
        let answer = match callback_id {
            Some(callback_id) => shown_with(state, shown, callback_id, small, preferred).await?,
            None => with_result(shown, None),
        };
        (etag, answer).into_response()
    };
    wait.mark(&mut response, has_ended);
    Ok(response)
}
