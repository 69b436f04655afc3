//! `POST /v1/webhook-endpoints`.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use sqlx::Connection;

use super::{
    lookup::find,
    request::{CreateWebhookEndpoint, RequestedEndpoint},
    view::WebhookEndpointWithSecret,
};
use crate::{
    db::{self, webhook_endpoints::NewEndpoint},
    domain::{ids::EndpointId, webhook_endpoint::MOST_ENDPOINTS},
    http::{
        answer::accepted,
        auth::Writer,
        problem::{Problem, ProblemType},
        request::body::read_json_object,
        signing_secret,
        state::AppState,
    },
};

/// Create a webhook endpoint.
///
/// Everything that happens from now on to the transcriptions of this tenant is sent there, signed as Standard Webhooks has it:
/// each event at least once, in no certain order, and again over more than a day until the endpoint answers 2xx. The answer holds
/// the `secret` to check signatures with, and nothing shows it again.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints",
    tag = "webhooks",
    request_body(content = CreateWebhookEndpoint, description = "Where to send what."),
    responses(
        (status = 201, description = "It is there, and enabled.", body = WebhookEndpointWithSecret, headers(
            ("Location" = String, description = "Where the endpoint is."),
        )),
        (status = 409, description = "The tenant has 20 endpoints, which is as many as it may have (`too-many-webhook-endpoints`)."),
    ),
)]
pub async fn create_webhook_endpoint(
    State(state): State<AppState>,
    Writer(caller): Writer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = read_json_object(&headers, body, &state.limits).await?;
    let requested = RequestedEndpoint::parse(body, state.notifier.guard())?;
    let id: EndpointId = state.ids.next();
    let (secret, stored) = signing_secret::make(&state, caller.tenant_id, Some(id))?;
    let new = NewEndpoint {
        id,
        tenant_id: caller.tenant_id,
        url: requested.url.as_str(),
        description: &requested.description,
        event_types: &requested.event_types,
        includes_result: requested.includes_result,
    };
    let creating = state.with_conn(async |conn| {
        let mut tx = conn.begin().await?;
        if !db::webhook_endpoints::insert(&mut tx, new).await? {
            return Err(Problem::new(
                ProblemType::TooManyWebhookEndpoints,
                format!(
                    "A tenant may have {MOST_ENDPOINTS} webhook endpoints. Delete one that is not needed any more, or change it."
                ),
            ));
        }
        db::signing_secrets::insert_first(&mut tx, &stored).await?;
        let endpoint = find(&mut tx, caller.tenant_id, id).await?;
        db::webhook_endpoints::change_audience(&mut tx).await?;
        tx.commit().await?;
        Ok(endpoint)
    });
    let endpoint = creating.await?;
    tracing::info!(
        endpoint.id = %id, api_key.id = %caller.api_key_id,
        "Created webhook endpoint {id}"
    );
    let created = WebhookEndpointWithSecret {
        endpoint,
        secret: secret.expose(),
    };
    let response = (StatusCode::CREATED, Json(created)).into_response();
    let path = format!("/v1/webhook-endpoints/{id}");
    Ok(accepted::locate(&state, &path, response))
}
