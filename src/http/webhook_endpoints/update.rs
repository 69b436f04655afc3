//! `PATCH /v1/webhook-endpoints/{id}`.

use axum::{Json, body::Body, extract::State, http::HeaderMap};

use super::{
    lookup::{find, no_such_endpoint},
    request::{RequestedChange, UpdateWebhookEndpoint},
    view::WebhookEndpoint,
};
use crate::{
    db,
    domain::ids::EndpointId,
    http::{
        auth::Writer,
        problem::Problem,
        request::{body::read_json_object, id_path::IdPath},
        state::AppState,
    },
};

/// Update a webhook endpoint.
///
/// What is left out stays as it is. Events that wait to be sent go to the new URL, too, and what failed at the old one is
/// forgotten. The secret stays, and an endpoint that is disabled stays so until it is enabled.
#[utoipa::path(
    patch,
    path = "/v1/webhook-endpoints/{id}",
    tag = "webhooks",
    params(("id" = String, Path, format = Uuid, description = "The endpoint's id.")),
    request_body(content = UpdateWebhookEndpoint, description = "What is to be different."),
    responses(
        (status = 200, description = "The endpoint as it is now.", body = WebhookEndpoint),
        (status = 404, description = "There is no such endpoint."),
    ),
)]
pub async fn update_webhook_endpoint(
    State(state): State<AppState>,
    Writer(caller): Writer,
    IdPath(id): IdPath<EndpointId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<WebhookEndpoint>, Problem> {
    let body = read_json_object(&headers, body, &state.limits).await?;
    let requested = RequestedChange::parse(body, state.notifier.guard())?;
    let changing = state.with_conn(async |conn| {
        let change = requested.as_change();
        if !db::webhook_endpoints::update(conn, caller.tenant_id, id, change).await? {
            return Err(no_such_endpoint());
        }
        // Its circuit may be closed again.
        state.wakeups.deliveries_due();
        tracing::info!(
            endpoint.id = %id, api_key.id = %caller.api_key_id,
            "Changed webhook endpoint {id}"
        );
        find(conn, caller.tenant_id, id).await.map(Json)
    });
    changing.await
}
