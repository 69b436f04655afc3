//! `POST /v1/webhook-endpoints/{id}/disable`.

use axum::{Json, extract::State};

use super::{lookup::find, view::WebhookEndpoint};
use crate::{
    db::{self, deliveries},
    domain::{
        ids::EndpointId,
        webhook_endpoint::{DisabledReason, EndpointStatus},
    },
    http::{auth::Writer, problem::Problem, request::id_path::IdPath, state::AppState},
};

/// Disable a webhook endpoint.
///
/// Nothing is sent there until it is enabled again. Events that wait to be sent are given up; they can be replayed then.
/// `webhook_endpoint.disabled` tells the others. One that is disabled already stays as it is.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/disable",
    tag = "webhooks",
    params(("id" = String, Path, format = Uuid, description = "The endpoint's id.")),
    responses(
        (status = 200, description = "It is disabled.", body = WebhookEndpoint),
        (status = 404, description = "There is no such endpoint."),
    ),
)]
pub async fn disable_webhook_endpoint(
    State(state): State<AppState>,
    Writer(caller): Writer,
    IdPath(id): IdPath<EndpointId>,
) -> Result<Json<WebhookEndpoint>, Problem> {
    let disabling = state.with_conn(async |conn| {
        let before = find(conn, caller.tenant_id, id).await?;
        let reason = before.disabled_reason.unwrap_or(DisabledReason::Request);
        if before.status == EndpointStatus::Enabled
            && db::webhook_endpoints::disable(conn, id, None, reason).await?
        {
            state.wakeups.events_added();
            tracing::info!(
                endpoint.id = %id, api_key.id = %caller.api_key_id,
                "Disabled webhook endpoint {id}"
            );
        }
        // Also where it is disabled already: whoever did that may have broken off before all that waits had ended, and what has not is
        // sent once the endpoint is enabled.
        while deliveries::end_pending(conn, id, reason.dead_reason()).await? {}
        find(conn, caller.tenant_id, id).await.map(Json)
    });
    disabling.await
}
