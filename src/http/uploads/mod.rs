//! `/v1/uploads`: files for use in several transcriptions.

use utoipa_axum::{router::OpenApiRouter, routes};

use super::state::AppState;

pub(super) mod create;

/// The routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create::create_upload))
}
