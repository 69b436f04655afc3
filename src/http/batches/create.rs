//! `POST /v1/batches`: many transcriptions of audio that Gladia fetches.

use axum::{body::Body, extract::State, http::HeaderMap, response::Response};
use tokio::task::JoinError;

use super::{
    accept::{accept, find},
    request::{CreateBatch, RequestedBatch},
    view::CreatedBatch,
};
use crate::{
    domain::{access::Caller, ids::BatchId},
    http::{
        answer::accepted::{answer, answer_again},
        auth::Writer,
        idempotency::{Claimed, HeldKey, give_back, key_of},
        problem::{Problem, ProblemType},
        request::body::read_json,
        state::AppState,
        transcriptions::request::Judge,
    },
};

/// Transcribe many recordings.
///
/// Each request is judged as `POST /v1/transcriptions` judges it, and by itself: one that is refused does not hold up the
/// others, unless `all_or_nothing` says so. `outcomes` names the transcription or the problem of each. The accepted ones are
/// durable, all at once, once this is answered, and wait in the order of the requests.
///
/// A request is told everything that is wrong with it, until there are 1000 errors in the batch; of each further request the
/// first is told, and how many there are.
///
/// Where every request is refused, there is nothing to keep: the answer is 422 with everything that is wrong, no batch is
/// made, and the idempotency key can be used again.
#[utoipa::path(
    post,
    path = "/v1/batches",
    tag = "batches",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the batch safe: the same key with the same requests gives the same batch with the same outcomes. 1 to 255 printable ASCII characters, no space at either end."),
    ),
    request_body(content = CreateBatch, description = "1 to 1000 requests, in at most MAX_BATCH_BYTES bytes (10,000,000 unless the operator has chosen otherwise). Each of them may be as large as it might be alone (MAX_REQUEST_BYTES)."),
    responses(
        (status = 202, description = "At least one request is accepted and durable.", body = CreatedBatch, headers(
            ("Location" = String, description = "Where the batch is."),
            ("Idempotency-Replayed" = Option<String>, description = "`true` where an earlier request with this key made it."),
        )),
        (status = 422, description = "The body is no batch of 1 to 1000 requests; every request is refused, or one with `all_or_nothing`: `errors` points into `/requests/17/…`, and nothing was made; or the idempotency key belongs to another request."),
        (status = 503, description = "The database is not available. Nothing is known to be made; repeat the batch with its idempotency key."),
    ),
)]
pub async fn create_batch(
    State(state): State<AppState>,
    Writer(caller): Writer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let key = key_of(&headers)?;
    let limits = &state.limits;
    let bytes = read_json(
        &headers,
        body,
        limits.max_batch_bytes,
        limits.request_timeout,
    )
    .await?;
    // A large body takes a moment to judge; the other requests of this thread do not wait for it.
    let (max_request_bytes, judge) = (limits.max_request_bytes, Judge::of(&state));
    let parse = move || RequestedBatch::parse(&bytes, max_request_bytes, &judge);
    let batch = tokio::task::spawn_blocking(parse)
        .await
        .map_err(|error| judging_failed(&error))??;

    let mut held = None;
    if let Some(key) = key {
        match HeldKey::claim(&state, caller.tenant_id, key).await? {
            Claimed::Held(key) => held = Some(key),
            Claimed::Earlier(earlier) => {
                return replay(&state, caller, earlier.same_batch(batch.fingerprint)?).await;
            }
        }
    }
    match accept(&state, caller, batch, held.as_mut()).await {
        Ok(created) => {
            if let Some(key) = held {
                key.committed();
            }
            Ok(answer(&state, &path(created.id), created))
        }
        Err(problem) => Err(give_back(held, problem).await),
    }
}

/// Answers a repeated batch with what its first time made.
async fn replay(state: &AppState, caller: Caller, id: BatchId) -> Result<Response, Problem> {
    let looking = state.with_conn(async |conn| find(conn, caller.tenant_id, id).await);
    let created = looking.await?;
    Ok(answer_again(state, &path(id), created))
}

fn path(id: BatchId) -> String {
    format!("/v1/batches/{id}")
}

fn judging_failed(error: &JoinError) -> Problem {
    tracing::error!(%error, "Judging a batch did not come to its end");
    Problem::new(
        ProblemType::Internal,
        "The batch cannot be judged. Nothing was made.",
    )
}
