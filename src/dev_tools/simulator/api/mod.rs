//! Gladia's routes: one file for each verb, all behind the `gate`.

mod create;
mod delete;
mod entry;
mod envelope;
mod file;
mod flaws;
mod gate;
mod get;
mod job_view;
mod list;
mod options;
mod upload;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    handler::Handler as _,
    middleware,
    routing::{MethodRouter, any, get, post},
};
use serde_json::{Value, json};

use self::envelope::ApiError;
pub(super) use self::upload::receive_file;
use super::{control, state::State};

/// Everything that listens on the simulator's own address.
pub(super) fn router(state: Arc<State>) -> Router {
    let mut api = Router::new()
        .route("/health", only(get(health)))
        .route("/v1/models", only(get(models)))
        .route("/v2/upload", only(post(upload::handler)))
        .route("/v2/upload/", only(post(upload::handler)));
    for base in ["/v2/pre-recorded", "/v2/transcription"] {
        let jobs = || only(post(create::handler).get(list::handler));
        api = api
            .route(base, jobs())
            .route(&format!("{base}/"), jobs())
            .route(
                &format!("{base}/{{id}}"),
                only(get(get::handler).delete(delete::handler)),
            )
            .route(&format!("{base}/{{id}}/file"), only(get(file::handler)));
    }
    api.fallback_service(no_such_route.with_state(()))
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            gate::gate,
        ))
        .merge(control::router())
        .with_state(state)
}

/// A wrong verb is an unknown route too: Gladia never answers 405.
fn only(route: MethodRouter<Arc<State>>) -> MethodRouter<Arc<State>> {
    route.fallback_service(any(no_such_route))
}

async fn no_such_route() -> ApiError {
    ApiError::no_such_route()
}

async fn health() -> Json<Value> {
    Json(json!({"health": "OK"}))
}

async fn models() -> Json<Value> {
    Json(json!({"models": options::MODELS}))
}
