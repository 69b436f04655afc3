//! `POST /v1/callback-secret/rotate`.

use axum::{Json, body::Body, extract::State, http::HeaderMap};

use crate::{
    db,
    http::{
        auth::Writer,
        problem::Problem,
        signing_secret::{self, RotateSecret, RotatedSecret},
        state::AppState,
    },
};

/// Rotate the callback secret.
///
/// Gives a new secret that signs the callbacks of all transcriptions of this tenant, and shows it this once. Callbacks are
/// signed from the first on, with a secret that nobody has seen: rotate it to be able to check them. What has signed until now
/// signs along for `overlap_seconds`, so that receivers can change over; both signatures stand in the header
/// `webhook-signature`. At most five secrets sign at a time; those that end first make room.
#[utoipa::path(
    post,
    path = "/v1/callback-secret/rotate",
    tag = "webhooks",
    request_body(content = Option<RotateSecret>, description = "How long both sign. May be left out."),
    responses(
        (status = 200, description = "The new secret. It signs from now on.", body = RotatedSecret),
    ),
)]
pub async fn rotate_callback_secret(
    State(state): State<AppState>,
    Writer(caller): Writer,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<RotatedSecret>, Problem> {
    let overlap = signing_secret::read_overlap(&headers, body, &state.limits).await?;
    let (secret, stored) = signing_secret::make(&state, caller.tenant_id, None)?;
    let rotating =
        state.with_conn(async |conn| db::signing_secrets::rotate(conn, &stored, overlap).await);
    // A tenant is there for as long as its keys are.
    rotating.await?;
    tracing::info!(
        tenant.id = %caller.tenant_id, api_key.id = %caller.api_key_id, overlap_seconds = overlap.as_secs(),
        "Rotated the callback secret of a tenant"
    );
    Ok(Json(RotatedSecret {
        secret: secret.expose(),
    }))
}
