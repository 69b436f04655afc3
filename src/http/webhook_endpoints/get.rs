//! `GET /v1/webhook-endpoints/{id}`.

use axum::{Json, extract::State};

use super::{lookup::find, view::WebhookEndpoint};
use crate::{
    domain::ids::EndpointId,
    http::{auth::Reader, problem::Problem, request::id_path::IdPath, state::AppState},
};

/// Get a webhook endpoint.
///
/// With how it does: whether it is disabled and why, and since when nothing gets through.
#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints/{id}",
    tag = "webhooks",
    params(("id" = String, Path, format = Uuid, description = "The endpoint's id.")),
    responses(
        (status = 200, description = "The endpoint.", body = WebhookEndpoint),
        (status = 404, description = "There is no such endpoint."),
    ),
)]
pub async fn get_webhook_endpoint(
    State(state): State<AppState>,
    Reader(caller): Reader,
    IdPath(id): IdPath<EndpointId>,
) -> Result<Json<WebhookEndpoint>, Problem> {
    let looking = state.with_conn(async |conn| find(conn, caller.tenant_id, id).await);
    looking.await.map(Json)
}
