//! `/v1/deliveries`: what was sent to whom, and how each try went. One file a verb.

use utoipa_axum::{router::OpenApiRouter, routes};

use super::state::AppState;

mod filters;
mod get;
mod list;
mod lookup;
mod replay;
mod replay_failed;
mod view;

/// The routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_deliveries))
        .routes(routes!(get::get_delivery))
        .routes(routes!(replay::replay_delivery))
        .routes(routes!(replay_failed::replay_failed_deliveries))
}
