//! `POST /v2/pre-recorded`: accepts a job.

use axum::{
    Extension, Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{
    repeats::{Claimed, CreateKey},
    request,
};
use crate::{
    domain::ids::JobId,
    http::{
        idempotency::give_back,
        problem::ProblemType,
        request::body,
        server::answer_fate::FateWatch,
        state::AppState,
        transcriptions::{
            accept::{Accepted, commit},
            audio::{self, TooLong},
            request::Judge,
        },
        v2::{auth::KeyedWriter, error::V2Error, links::Base},
    },
};

/// A job that was accepted.
#[derive(Serialize)]
struct Created {
    id: JobId,
    result_url: String,
}

/// Accepts a job.
pub async fn create_job(
    State(state): State<AppState>,
    KeyedWriter(caller): KeyedWriter,
    base: Base,
    fate_watch: Option<Extension<FateWatch>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, V2Error> {
    let (limit, timeout) = (state.limits.max_request_bytes, state.limits.request_timeout);
    let bytes = body::read(body, limit, timeout).await?;
    let (audio_url, options) = request::parse(&bytes, &Judge::of(&state))?;
    let (mut key, mut note) = (None, None);
    if let Some(create) = CreateKey::of(&state, caller, &headers, &bytes) {
        match create.claim(&state).await? {
            Claimed::New(held, fingerprint, observed) => {
                key = Some((held, fingerprint));
                note = Some(observed);
            }
            Claimed::Second(id) => return Ok(answer_second(&base, id)),
        }
    }
    let known = match audio::look_up(&state, caller, &audio_url, TooLong::PassedOn).await {
        Ok(known) => known,
        Err(problem) => return Err(give_back(key.map(|(key, _)| key), problem).await.into()),
    };
    let accepted = Accepted {
        caller,
        options: &options,
        audio_url: &known.audio_url,
        upload_id: known.upload_id,
        audio_warnings: known.warnings,
        key,
    };
    let job = match (commit(&state, accepted).await, &note) {
        (Ok(job), _) => job,
        // It took longer than its lease.
        (Err(problem), Some(note)) if problem.kind() == ProblemType::IdempotencyKeyInProgress => {
            let id = note.made_by_another(&state).await?;
            return Ok(answer_second(&base, id));
        }
        (Err(problem), _) => return Err(problem.into()),
    };
    let answer = answer(&base, job.id);
    Ok(match note {
        Some(note) => note.follow(&state, fate_watch.map(|Extension(watch)| watch), answer),
        None => answer,
    })
}

fn answer_second(base: &Base, id: JobId) -> Response {
    metrics::counter!("gateway_v2_second_creates_total").increment(1);
    answer(base, id)
}

fn answer(base: &Base, id: JobId) -> Response {
    let result_url = base.job(id);
    (StatusCode::CREATED, Json(Created { id, result_url })).into_response()
}
