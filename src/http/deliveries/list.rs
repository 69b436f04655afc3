//! `GET /v1/deliveries`: newest first.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::Delivery;
use crate::{
    db::deliveries,
    domain::{
        cursor::Cursor,
        delivery::DeliveryStatus,
        delivery_filter::DeliveryFilter,
        event::EventId,
        ids::{EndpointId, JobId},
    },
    http::{auth::Reader, problem::Problem, request::page::Page, state::AppState},
};

/// A page of deliveries.
#[derive(Serialize, ToSchema)]
pub struct DeliveryList {
    /// Newest first.
    pub items: Vec<Delivery>,
    /// Where the next page begins: send it as `cursor`. Null on the last page.
    pub next_cursor: Option<String>,
}

/// List deliveries.
///
/// Newest first: what was sent, is being sent or is to be sent to webhook endpoints and to the callbacks of transcriptions.
/// Filters combine: a delivery is listed where all of them hold. A cursor goes on in the list that it was made for: with
/// other filters it is refused. Deliveries are kept for as long as their events.
#[utoipa::path(
    get,
    path = "/v1/deliveries",
    tag = "deliveries",
    params(
        ("endpoint_id" = Option<EndpointId>, Query, description = "Only those to this webhook endpoint, which may be deleted since."),
        ("transcription_id" = Option<JobId>, Query, description = "Only those about this transcription."),
        ("event_id" = Option<EventId>, Query, description = "Only those of this event."),
        ("status" = Option<DeliveryStatus>, Query, description = "Only those with this status."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "How many to a page. 20 if not given."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses(
        (status = 200, description = "A page.", body = DeliveryList),
    ),
)]
pub async fn list_deliveries(
    State(state): State<AppState>,
    Reader(caller): Reader,
    RawQuery(query): RawQuery,
) -> Result<Json<DeliveryList>, Problem> {
    let mut filter = DeliveryFilter::default();
    let page = Page::parse(query.as_deref(), &mut filter)?;
    let rows = page.rows_to_read();
    let mut found = state
        .with_conn(async |conn| {
            deliveries::list(conn, caller.tenant_id, &filter, page.cursor, rows).await
        })
        .await?;
    let next_cursor = page.cut(&mut found, |delivery| Cursor {
        created_at: delivery.created_at,
        id: delivery.id,
    });
    Ok(Json(DeliveryList {
        items: found.into_iter().map(Into::into).collect(),
        next_cursor,
    }))
}
