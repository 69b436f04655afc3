//! `POST /v1/webhook-endpoints/{id}/replay`: everything that did not get through to an endpoint since a time.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    db::deliveries,
    domain::{ids::EndpointId, webhook_endpoint::EndpointStatus},
    http::{
        auth::Writer,
        problem::Problem,
        request::{
            body::read_json_object,
            fields::{Fields, broken},
            id_path::IdPath,
        },
        state::AppState,
        webhook_endpoints::lookup::{endpoint_disabled, find},
    },
};

/// How many deliveries one request replays at most.
const MOST_REPLAYED: u64 = 10_000;

/// How many of them one statement replays, so that none is long.
const BATCH: u16 = 1_000;

const SINCE: &str = "since";

/// What that has to be.
const SINCE_FORM: &str = "an RFC 3339 time, such as 2026-11-26T15:00:00Z";

/// Which deliveries of an endpoint are replayed.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the body in the OpenAPI document; bodies are read by hand, for better messages"
)]
pub struct ReplayFailedDeliveries {
    /// Those that were made at this time or later. RFC 3339.
    since: DateTime<Utc>,
}

/// What a replay made due.
#[derive(Serialize, ToSchema)]
pub struct ReplayedDeliveries {
    /// How many deliveries are due again.
    pub replayed: u64,
    /// Whether there are more. Repeat the request for those.
    pub has_more: bool,
}

/// Replay the failed deliveries of an endpoint.
///
/// Sends again what is `dead` and was made since a time, the oldest first, up to 10,000 deliveries a request: for after a
/// receiver has been down for longer than its deliveries were tried. Each carries the same `webhook-id` as before.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/replay",
    tag = "deliveries",
    params(("id" = String, Path, format = Uuid, description = "The webhook endpoint's id.")),
    request_body(content = ReplayFailedDeliveries, description = "Since when."),
    responses(
        (status = 202, description = "They are due.", body = ReplayedDeliveries),
        (status = 404, description = "There is no such webhook endpoint."),
        (status = 409, description = "The endpoint is disabled (`webhook-endpoint-disabled`)."),
    ),
)]
pub async fn replay_failed_deliveries(
    State(state): State<AppState>,
    Writer(caller): Writer,
    IdPath(id): IdPath<EndpointId>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<ReplayedDeliveries>), Problem> {
    let since = parse(read_json_object(&headers, body, &state.limits).await?)?;
    let replaying = state.with_conn(async |conn| {
        if find(conn, caller.tenant_id, id).await?.status == EndpointStatus::Disabled {
            return Err(endpoint_disabled());
        }
        let mut replayed = 0;
        while replayed < MOST_REPLAYED {
            let limit = BATCH.into();
            let due = deliveries::replay_dead(conn, caller.tenant_id, id, since, limit).await?;
            state.wakeups.deliveries_due();
            replayed += due;
            if due < BATCH.into() {
                break;
            }
        }
        let has_more = deliveries::has_dead(conn, caller.tenant_id, id, since).await?;
        Ok::<_, Problem>((replayed, has_more))
    });
    let (replayed, has_more) = replaying.await?;
    tracing::info!(
        endpoint.id = %id, api_key.id = %caller.api_key_id, replayed,
        "{replayed} deliveries to endpoint {id} are sent again"
    );
    Ok((
        StatusCode::ACCEPTED,
        Json(ReplayedDeliveries { replayed, has_more }),
    ))
}

fn parse(body: Map<String, Value>) -> Result<DateTime<Utc>, Problem> {
    let mut fields = Fields::of(body);
    let since = fields.take(SINCE, |value| {
        let instant = value.as_str().map(DateTime::parse_from_rfc3339);
        let instant = instant
            .and_then(Result::ok)
            .ok_or_else(|| broken(format!("must be {SINCE_FORM}")))?;
        Ok(instant.to_utc())
    });
    let Some(since) = since else {
        return Err(fields.lacks(SINCE, &format!("is required: {SINCE_FORM}"), SINCE));
    };
    fields.finish(SINCE)?;
    Ok(since)
}
