//! `/v1/events`: one file a verb; [`cursor`] says whether a reader can go on where it left off.

use utoipa_axum::{router::OpenApiRouter, routes};

use super::state::AppState;

pub mod cursor;
mod list;
pub mod query;
mod stream;

/// The routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_events))
        .routes(routes!(stream::stream_events))
}
