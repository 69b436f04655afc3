//! `POST /v1/webhook-endpoints/{id}/test`: an event on demand.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::lookup::{endpoint_disabled, find};
use crate::{
    db::{self, events::EventPosition},
    domain::{event::EventId, ids::EndpointId},
    feed::{Subscription, Topic},
    http::{auth::Writer, problem::Problem, request::id_path::IdPath, state::AppState},
};

/// How long the event's number is waited for. It takes milliseconds, unless something is broken.
const NUMBER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long until the next look where nothing is heard of it.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// A test of a webhook endpoint.
#[derive(Serialize, ToSchema)]
pub struct TestedWebhookEndpoint {
    /// The event on its way there. Null where it got no id within 5 seconds; it is sent all the same.
    pub event_id: Option<EventId>,
}

/// Test a webhook endpoint.
///
/// Sends an event of the type `webhook_endpoint.test` there, signed like every other, and to no other endpoint. It is sent
/// whatever `event_types` says, and tried again like every other.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/test",
    tag = "webhooks",
    params(("id" = String, Path, format = Uuid, description = "The endpoint's id.")),
    responses(
        (status = 202, description = "The event is on its way.", body = TestedWebhookEndpoint),
        (status = 404, description = "There is no such endpoint."),
        (status = 409, description = "It is disabled (`webhook-endpoint-disabled`)."),
    ),
)]
pub async fn test_webhook_endpoint(
    State(state): State<AppState>,
    Writer(caller): Writer,
    IdPath(id): IdPath<EndpointId>,
) -> Result<(StatusCode, Json<TestedWebhookEndpoint>), Problem> {
    // Before the event is there, so that its number is not missed.
    let news = state.feed.subscribe(Topic::Tenant(caller.tenant_id));
    let adding = state.with_conn(async |conn| {
        let added = db::webhook_endpoints::test(conn, caller.tenant_id, id).await?;
        if added.is_none() {
            find(conn, caller.tenant_id, id).await?;
        }
        Ok::<_, Problem>(added)
    });
    let position = adding.await?.ok_or_else(endpoint_disabled)?;
    state.wakeups.events_added();
    let event_id = wait_for_id(&state, news, position).await?;
    tracing::info!(
        endpoint.id = %id, api_key.id = %caller.api_key_id,
        "Testing webhook endpoint {id}"
    );
    Ok((
        StatusCode::ACCEPTED,
        Json(TestedWebhookEndpoint { event_id }),
    ))
}

/// Waits until an event has its number. Holds no connection meanwhile.
async fn wait_for_id(
    state: &AppState,
    mut news: Subscription,
    position: EventPosition,
) -> Result<Option<EventId>, Problem> {
    let deadline = Instant::now() + NUMBER_TIMEOUT;
    loop {
        // What is heard may be another event, and this one may have been numbered before.
        let _ = timeout(LOOK_INTERVAL, news.next()).await;
        let looking = state.with_conn(async |conn| db::events::find_id(conn, position).await);
        let id = looking.await?;
        if id.is_some() || Instant::now() >= deadline {
            return Ok(id);
        }
    }
}
