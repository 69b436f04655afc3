//! `/v1/admin`: what waits for whoever runs the gateway. One file a verb.

use utoipa_axum::{router::OpenApiRouter, routes};

use super::state::AppState;

mod dismiss_callback;
mod list_attempts;
mod list_callbacks;
mod lookup;
mod replay_callback;
mod resolve_attempt;

/// The routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_callbacks::list_callbacks))
        .routes(routes!(replay_callback::replay_callback))
        .routes(routes!(dismiss_callback::dismiss_callback))
        .routes(routes!(list_attempts::list_attempts))
        .routes(routes!(resolve_attempt::resolve_attempt))
}
