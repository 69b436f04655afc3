//! `/_simulator/`: the ledger, the faults, and what else can be asked of the simulator itself. No key is needed.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    clock,
    engine::callback,
    faults::Fault,
    ledger::CallbackRecord,
    state::{self, Job, Status},
};

/// The control routes.
pub(super) fn router() -> Router<Arc<state::State>> {
    Router::new()
        .route("/_simulator/ledger", get(ledger))
        .route(
            "/_simulator/faults",
            get(faults).put(replace_faults).delete(clear_faults),
        )
        .route("/_simulator/jobs/{id}/callback", post(resend_callback))
        .route("/_simulator/jobs/{id}/result", get(result))
        .route("/_simulator/reset", post(reset))
}

#[derive(Deserialize)]
struct LedgerQuery {
    #[serde(default)]
    counts: bool,
}

#[derive(Serialize)]
struct JobRecord<'a> {
    id: Uuid,
    status: Status,
    deleted: bool,
    audio_url: &'a str,
    custom_metadata: Option<&'a Value>,
    callback_url: Option<&'a str>,
    created_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
    error: Option<&'a str>,
    /// Of the exact bytes of `payload` in the callback and of `result` in the job, once it is done.
    result_sha256: Option<&'a str>,
    callbacks: &'a [CallbackRecord],
    request_body: &'a Map<String, Value>,
}

impl<'a> From<&'a Job> for JobRecord<'a> {
    fn from(job: &'a Job) -> Self {
        Self {
            id: job.id,
            status: job.status,
            deleted: job.deleted,
            audio_url: &job.audio_url,
            custom_metadata: job.custom_metadata.as_ref(),
            callback_url: job.callback.as_ref().map(|target| target.url.as_str()),
            created_at: clock::iso(job.created_at),
            started_at: job.started_at.map(clock::iso),
            finished_at: job.completed_at.map(clock::iso),
            error: job.error.as_ref().map(|(_, message)| message.as_str()),
            result_sha256: job.result_sha256.as_deref(),
            callbacks: &job.callbacks,
            request_body: &job.request,
        }
    }
}

async fn ledger(
    State(state): State<Arc<state::State>>,
    Query(LedgerQuery { counts }): Query<LedgerQuery>,
) -> Json<Value> {
    let store = state.store();
    if counts {
        return Json(json!({"counts": store.ledger.counts}));
    }
    let jobs: Vec<JobRecord<'_>> = store
        .order
        .iter()
        .filter_map(|id| store.jobs.get(id))
        .map(JobRecord::from)
        .collect();
    Json(json!({
        "counts": store.ledger.counts,
        "requests": store.ledger.requests(),
        "jobs": jobs,
    }))
}

async fn faults(State(state): State<Arc<state::State>>) -> Json<Vec<Fault>> {
    Json(state.store().faults.list().to_vec())
}

/// One fault or a list of them; they replace all others.
async fn replace_faults(
    State(state): State<Arc<state::State>>,
    Json(body): Json<Value>,
) -> Response {
    let body = if body.is_array() { body } else { json!([body]) };
    match serde_json::from_value::<Vec<Fault>>(body) {
        Ok(faults) => {
            state.store().faults.replace(faults);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => {
            let error = json!({"error": error.to_string()});
            (StatusCode::BAD_REQUEST, Json(error)).into_response()
        }
    }
}

async fn clear_faults(State(state): State<Arc<state::State>>) -> StatusCode {
    state.store().faults.replace(Vec::new());
    StatusCode::NO_CONTENT
}

async fn resend_callback(State(state): State<Arc<state::State>>, Path(id): Path<Uuid>) -> Response {
    if let Some(record) = callback::resend(&state, id).await {
        return Json(record).into_response();
    }
    not_found("no such job, or it has not ended, or its result is gone, or it has no callback")
}

/// The bytes of a job's result as its callback and its job have them.
async fn result(State(state): State<Arc<state::State>>, Path(id): Path<Uuid>) -> Response {
    let result = state
        .store()
        .jobs
        .get(&id)
        .and_then(|job| job.result.clone());
    match result {
        Some(result) => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            (json, result.get().to_owned()).into_response()
        }
        None => not_found("no such job, or it is not done, or its result is gone"),
    }
}

fn not_found(error: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"error": error}))).into_response()
}

async fn reset(State(state): State<Arc<state::State>>) -> StatusCode {
    state.reset();
    StatusCode::NO_CONTENT
}
