//! `/v1/webhook-endpoints`: where a tenant wants its events sent. One file a verb.

use utoipa_axum::{router::OpenApiRouter, routes};

use super::state::AppState;

mod create;
mod delete;
mod disable;
mod enable;
mod get;
mod list;
pub(super) mod lookup;
mod request;
mod rotate_secret;
mod test;
mod update;
mod view;

/// The routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(
            create::create_webhook_endpoint,
            list::list_webhook_endpoints
        ))
        .routes(routes!(
            get::get_webhook_endpoint,
            update::update_webhook_endpoint,
            delete::delete_webhook_endpoint
        ))
        .routes(routes!(rotate_secret::rotate_webhook_endpoint_secret))
        .routes(routes!(test::test_webhook_endpoint))
        .routes(routes!(enable::enable_webhook_endpoint))
        .routes(routes!(disable::disable_webhook_endpoint))
}
