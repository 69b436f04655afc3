//! `/v1/callback-secret`: what the callbacks of a tenant's jobs are signed with.

use utoipa_axum::{router::OpenApiRouter, routes};

use super::state::AppState;

mod rotate;

/// The routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(rotate::rotate_callback_secret))
}
