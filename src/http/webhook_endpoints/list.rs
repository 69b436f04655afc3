//! `GET /v1/webhook-endpoints`: newest first.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::WebhookEndpoint;
use crate::{
    db,
    domain::cursor::Cursor,
    http::{
        auth::Reader,
        problem::Problem,
        request::page::{Page, Unfiltered},
        state::AppState,
    },
};

/// A page of webhook endpoints.
#[derive(Serialize, ToSchema)]
pub struct WebhookEndpointList {
    /// Newest first.
    pub items: Vec<WebhookEndpoint>,
    /// Where the next page begins: send it as `cursor`. Null on the last page.
    pub next_cursor: Option<String>,
}

/// List webhook endpoints.
///
/// Newest first, disabled ones too. Their secrets are not shown.
#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints",
    tag = "webhooks",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "How many to a page. 20 if not given."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses(
        (status = 200, description = "A page.", body = WebhookEndpointList),
    ),
)]
pub async fn list_webhook_endpoints(
    State(state): State<AppState>,
    Reader(caller): Reader,
    RawQuery(query): RawQuery,
) -> Result<Json<WebhookEndpointList>, Problem> {
    let page = Page::parse(query.as_deref(), &mut Unfiltered("webhook_endpoints"))?;
    let rows = page.rows_to_read();
    let mut endpoints = state
        .with_conn(async |conn| {
            db::webhook_endpoints::list(conn, caller.tenant_id, page.cursor, rows).await
        })
        .await?;
    let next_cursor = page.cut(&mut endpoints, |endpoint| Cursor {
        created_at: endpoint.created_at,
        id: endpoint.id,
    });
    Ok(Json(WebhookEndpointList {
        items: endpoints.into_iter().map(Into::into).collect(),
        next_cursor,
    }))
}
