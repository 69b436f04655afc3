//! `POST /v1/webhook-endpoints/{id}/enable`.

use axum::{Json, extract::State};

use super::{
    lookup::{find, no_such_endpoint},
    view::WebhookEndpoint,
};
use crate::{
    db,
    domain::ids::EndpointId,
    http::{auth::Writer, problem::Problem, request::id_path::IdPath, state::AppState},
};

/// Enable a webhook endpoint.
///
/// It is sent what happens from now on; what happened meanwhile is not sent later, but stands in `GET /v1/events`. Its failures
/// are forgotten. Of one that is enabled anyway they are as well, so that it is tried again at once.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/enable",
    tag = "webhooks",
    params(("id" = String, Path, format = Uuid, description = "The endpoint's id.")),
    responses(
        (status = 200, description = "It is enabled.", body = WebhookEndpoint),
        (status = 404, description = "There is no such endpoint."),
    ),
)]
pub async fn enable_webhook_endpoint(
    State(state): State<AppState>,
    Writer(caller): Writer,
    IdPath(id): IdPath<EndpointId>,
) -> Result<Json<WebhookEndpoint>, Problem> {
    let enabling = state.with_conn(async |conn| {
        if !db::webhook_endpoints::enable(conn, caller.tenant_id, id).await? {
            return Err(no_such_endpoint());
        }
        // What waited for the circuit can go.
        state.wakeups.deliveries_due();
        tracing::info!(
            endpoint.id = %id, api_key.id = %caller.api_key_id,
            "Enabled webhook endpoint {id}"
        );
        find(conn, caller.tenant_id, id).await.map(Json)
    });
    enabling.await
}
