//! `/v1/usage`: what was used, and what Gladia bills for it. One file a verb; [`query`] reads what is asked for, and
//! [`report`] has the answer in its two forms.

use utoipa_axum::{router::OpenApiRouter, routes};

use super::state::AppState;

mod get;
pub(super) mod query;
mod report;

/// The routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get::get_usage))
}
