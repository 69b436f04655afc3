//! `/webhooks`: where Gladia tells of every job of the account. Not part of the API that callers use, so not in its
//! document.

use axum::{Router, routing::post};

use super::state::AppState;

mod receive;

pub use receive::{Refusal, Taken};

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new().route("/webhooks/gladia", post(receive::receive_webhook))
}
