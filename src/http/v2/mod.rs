//! `/v2`: Gladia's own API, for programs that were written for it.
//!
//! A thin translation: what callers send becomes what `/v1` would have made of it, and what is there is shown in Gladia's
//! shapes ([`pre_recorded`], [`upload`]). So base address and key are all that a program changes. Keys come in
//! `x-gladia-key` ([`auth`]), errors in Gladia's envelope ([`error`]), links lead back here ([`links`]). What Gladia accepts
//! is accepted: what looks like a mistake is passed on as it is.

use axum::{
    Router,
    routing::{MethodRouter, any, get, post},
};

use self::error::V2Error;
use super::state::AppState;

pub mod auth;
pub mod error;
pub mod links;
pub mod pre_recorded;
pub mod upload;

/// The routes, and an answer for everything else below `/v2`.
pub fn router() -> Router<AppState> {
    let mut router = Router::new();
    let mut add = |path: &str, route: &MethodRouter<AppState>| {
        // A wrong verb is an unknown route too: Gladia never answers 405. And it minds no slash at the end.
        let route = route.clone().fallback(no_such_route);
        let taken = std::mem::take(&mut router);
        router = taken
            .route(path, route.clone())
            .route(&format!("{path}/"), route);
    };
    add("/v2/upload", &post(upload::create::create_upload));
    // The second is the older name of the first.
    for base in ["/v2/pre-recorded", "/v2/transcription"] {
        add(
            base,
            &post(pre_recorded::create::create_job).get(pre_recorded::list::list_jobs),
        );
        add(
            &format!("{base}/{{id}}"),
            &get(pre_recorded::get::get_job).delete(pre_recorded::delete::delete_job),
        );
        add(
            &format!("{base}/{{id}}/file"),
            &get(pre_recorded::get_file::get_file),
        );
    }
    router
        .route("/v2", any(no_such_route))
        .route("/v2/", any(no_such_route))
        .route("/v2/{*rest}", any(no_such_route))
}

async fn no_such_route() -> V2Error {
    V2Error::no_such_route()
}
