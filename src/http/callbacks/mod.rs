//! `/callbacks`: where Gladia delivers. Not part of the API that callers use, so not in its document.

use axum::{Router, routing::post};

use super::state::AppState;

mod canary;
mod receive;

pub use receive::NotTaken;

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new().route(
        "/callbacks/gladia/{attempt}/{token}",
        post(receive::receive_callback).put(receive::receive_callback),
    )
}
