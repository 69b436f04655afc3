//! `GET /v1/deliveries/{id}`: one of them, with its tries.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    lookup::no_such_delivery,
    view::{Delivery, DeliveryAttempt},
};
use crate::{
    db::deliveries,
    domain::ids::DeliveryId,
    http::{auth::Reader, problem::Problem, request::id_path::IdPath, state::AppState},
};

/// A delivery with its tries.
#[derive(Serialize, ToSchema)]
pub struct DeliveryWithAttempts {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Each try as it went, in their order: the latest hundred.
    pub attempts: Vec<DeliveryAttempt>,
}

/// Get a delivery.
///
/// With each of its tries: when, how long, what was answered. Those of before a replay stay.
#[utoipa::path(
    get,
    path = "/v1/deliveries/{id}",
    tag = "deliveries",
    params(("id" = String, Path, format = Uuid, description = "The delivery's id.")),
    responses(
        (status = 200, description = "The delivery.", body = DeliveryWithAttempts),
        (status = 404, description = "There is no such delivery."),
    ),
)]
pub async fn get_delivery(
    State(state): State<AppState>,
    Reader(caller): Reader,
    IdPath(id): IdPath<DeliveryId>,
) -> Result<Json<DeliveryWithAttempts>, Problem> {
    let reading = state.with_conn(async |conn| {
        let delivery = deliveries::find(conn, caller.tenant_id, id)
            .await?
            .ok_or_else(no_such_delivery)?;
        let attempts = deliveries::list_attempts(conn, id).await?;
        Ok::<_, Problem>((delivery, attempts))
    });
    let (delivery, attempts) = reading.await?;
    Ok(Json(DeliveryWithAttempts {
        delivery: delivery.into(),
        attempts: attempts.into_iter().map(Into::into).collect(),
    }))
}
