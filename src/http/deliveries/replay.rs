//! `POST /v1/deliveries/{id}/replay`: one delivery, once more.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use sqlx::Connection;

use super::{lookup::no_such_delivery, view::Delivery};
use crate::{
    db::{
        self,
        deliveries::{self, Replayed},
    },
    domain::ids::DeliveryId,
    http::{
        auth::Writer,
        problem::{Problem, ProblemType},
        request::id_path::IdPath,
        state::AppState,
        webhook_endpoints::lookup::endpoint_disabled,
    },
};

/// A try takes this long at most, and a little more until it is recorded.
const TRY_TAKES: Duration = Duration::from_secs(20);

/// Replay a delivery.
///
/// Sends it again as soon as possible, whatever has become of it: its tries begin anew, and those of before stay on record. A pause
/// of its receiver ends: what is due there is sent, one delivery at a time until one gets through. It carries the same `webhook-id`
/// as before, so a receiver that has it already can tell. What a webhook with the result, or a callback, tells is what stands there
/// now.
#[utoipa::path(
    post,
    path = "/v1/deliveries/{id}/replay",
    tag = "deliveries",
    params(("id" = String, Path, format = Uuid, description = "The delivery's id.")),
    responses(
        (status = 202, description = "It is due.", body = Delivery),
        (status = 404, description = "There is no such delivery."),
        (status = 409, description = "It is being sent at this moment (`delivery-in-progress`), or its endpoint is disabled (`webhook-endpoint-disabled`) or deleted (`webhook-endpoint-deleted`)."),
        (status = 410, description = "It is the callback of a transcription that was erased, of which `erased` is the receipt (`transcription-deleted`); or its event is not kept any more (`event-expired`)."),
    ),
)]
pub async fn replay_delivery(
    State(state): State<AppState>,
    Writer(caller): Writer,
    IdPath(id): IdPath<DeliveryId>,
) -> Result<(StatusCode, Json<Delivery>), Problem> {
    let replaying = state.with_conn(async |conn| {
        let mut tx = conn.begin().await?;
        match deliveries::replay(&mut tx, caller.tenant_id, id).await? {
            Replayed::Due => {}
            Replayed::NotFound => return Err(no_such_delivery()),
            Replayed::BeingSent => {
                return Err(Problem::new(
                    ProblemType::DeliveryInProgress,
                    "It is being sent at this moment. Look at what comes of it first.",
                )
                .with_retry_after(TRY_TAKES));
            }
            Replayed::EndpointDisabled => return Err(endpoint_disabled()),
            Replayed::EndpointDeleted => {
                return Err(Problem::new(
                    ProblemType::WebhookEndpointDeleted,
                    "The webhook endpoint that it went to was deleted, so there is nowhere to send it.",
                ));
            }
            Replayed::Erased(job_id) => {
                let receipt = db::jobs::receipts::find(&mut tx, job_id).await?;
                return Err(receipt.map_or_else(Problem::deleted, Problem::erased));
            }
            Replayed::Expired => {
                return Err(Problem::new(
                    ProblemType::EventExpired,
                    "The event that it tells of is not kept any more. Ask for the transcription instead.",
                ));
            }
        }
        // Read before the commit: after it, somebody may already be sending it.
        let delivery = deliveries::find(&mut tx, caller.tenant_id, id)
            .await?
            .ok_or_else(no_such_delivery)?;
        tx.commit().await?;
        Ok(delivery)
    });
    let delivery = replaying.await?;
    state.wakeups.deliveries_due();
    tracing::info!(delivery.id = %id, api_key.id = %caller.api_key_id, "Delivery {id} is sent again");
    Ok((StatusCode::ACCEPTED, Json(delivery.into())))
}
