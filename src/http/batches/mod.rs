//! `/v1/batches`: many transcriptions in one call.
//!
//! Each request is judged as if it had come alone. Those that pass become jobs like any others, in one commit with the
//! batch and its idempotency key, so a batch is there whole or not at all.

use utoipa_axum::{router::OpenApiRouter, routes};

use super::state::AppState;

mod accept;
mod create;
mod get;
mod request;
mod view;

/// The routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create::create_batch))
        .routes(routes!(get::get_batch))
}
