//! The answer to a request that made something which goes on by itself.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::http::{
    idempotency::REPLAYED_HEADER, server::overload::ChangedNothing, state::AppState,
};

/// 202 with what was made, and `Location` with where it is to be found: a path of the API.
pub fn answer(state: &AppState, path: &str, made: impl Serialize) -> Response {
    locate(
        state,
        path,
        (StatusCode::ACCEPTED, Json(made)).into_response(),
    )
}

/// Says in an answer where to find what was made.
pub fn locate(state: &AppState, path: &str, mut response: Response) -> Response {
    if let Ok(location) = HeaderValue::from_str(&state.link(path)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The same to a repetition, about what its first time made.
pub fn answer_again(state: &AppState, path: &str, made: impl Serialize) -> Response {
    mark_as_replayed(answer(state, path, made))
}

/// Says in an answer that an earlier request made it.
#[must_use]
pub fn mark_as_replayed(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    response.extensions_mut().insert(ChangedNothing);
    response
}
