//! `DELETE /v1/webhook-endpoints/{id}`.

use axum::{extract::State, http::StatusCode};

use super::lookup::no_such_endpoint;
use crate::{
    db::{self, deliveries},
    domain::{delivery::DeadReason, ids::EndpointId},
    http::{auth::Writer, problem::Problem, request::id_path::IdPath, state::AppState},
};

/// Delete a webhook endpoint.
///
/// Nothing is sent there any more, also nothing of what has happened already; what is being sent at this moment still arrives.
/// The record of its deliveries stays, its secret does not.
#[utoipa::path(
    delete,
    path = "/v1/webhook-endpoints/{id}",
    tag = "webhooks",
    params(("id" = String, Path, format = Uuid, description = "The endpoint's id.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "There is no such endpoint."),
    ),
)]
pub async fn delete_webhook_endpoint(
    State(state): State<AppState>,
    Writer(caller): Writer,
    IdPath(id): IdPath<EndpointId>,
) -> Result<StatusCode, Problem> {
    let deleting = state.with_conn(async |conn| {
        if !db::webhook_endpoints::delete(conn, caller.tenant_id, id).await? {
            return Err(no_such_endpoint());
        }
        tracing::info!(
            endpoint.id = %id, api_key.id = %caller.api_key_id,
            "Deleted webhook endpoint {id}"
        );
        while deliveries::end_pending(conn, id, DeadReason::EndpointDeleted).await? {}
        Ok(StatusCode::NO_CONTENT)
    });
    deleting.await
}
