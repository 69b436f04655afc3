//! `POST /v1/webhook-endpoints/{id}/rotate-secret`.

use axum::{Json, body::Body, extract::State, http::HeaderMap};

use super::lookup::no_such_endpoint;
use crate::{
    db,
    domain::ids::EndpointId,
    http::{
        auth::Writer,
        problem::Problem,
        request::id_path::IdPath,
        signing_secret::{self, RotateSecret, RotatedSecret},
        state::AppState,
    },
};

/// Rotate a webhook endpoint's secret.
///
/// Gives a new secret and shows it this once. What has signed until now signs along for `overlap_seconds`, so that the receiver
/// can change over; both signatures stand in the header `webhook-signature`. At most five secrets sign at a time; those that end
/// first make room.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/rotate-secret",
    tag = "webhooks",
    params(("id" = String, Path, format = Uuid, description = "The endpoint's id.")),
    request_body(content = Option<RotateSecret>, description = "How long both sign. May be left out."),
    responses(
        (status = 200, description = "The new secret. It signs from now on.", body = RotatedSecret),
        (status = 404, description = "There is no such endpoint."),
    ),
)]
pub async fn rotate_webhook_endpoint_secret(
    State(state): State<AppState>,
    Writer(caller): Writer,
    IdPath(id): IdPath<EndpointId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<RotatedSecret>, Problem> {
    let overlap = signing_secret::read_overlap(&headers, body, &state.limits).await?;
    let (secret, stored) = signing_secret::make(&state, caller.tenant_id, Some(id))?;
    let rotating =
        state.with_conn(async |conn| db::signing_secrets::rotate(conn, &stored, overlap).await);
    if !rotating.await? {
        return Err(no_such_endpoint());
    }
    tracing::info!(
        endpoint.id = %id, api_key.id = %caller.api_key_id, overlap_seconds = overlap.as_secs(),
        "Rotated the secret of webhook endpoint {id}"
    );
    Ok(Json(RotatedSecret {
        secret: secret.expose(),
    }))
}
