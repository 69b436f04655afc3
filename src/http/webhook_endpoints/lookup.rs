//! Finding the endpoint that a path names.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use sqlx::PgConnection;

use super::view::WebhookEndpoint;
use crate::{
    db,
    domain::ids::{EndpointId, TenantId},
    http::{
        problem::{Problem, ProblemType},
        state::AppState,
    },
};

/// The id in the path. What is no id of ours names nothing, like an id that nobody has.
pub struct EndpointPath(pub EndpointId);

impl FromRequestParts<AppState> for EndpointPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Path::<String>::from_request_parts(parts, state)
            .await
            .ok()
            .and_then(|Path(text)| EndpointId::from_str(&text).ok())
            .map(Self)
            .ok_or_else(no_such_endpoint)
    }
}

/// An endpoint that the caller does not have.
pub fn no_such_endpoint() -> Problem {
    Problem::new(
        ProblemType::NotFound,
        "There is no webhook endpoint with this id.",
    )
}

/// An endpoint as its tenant sees it.
pub async fn find(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: EndpointId,
) -> Result<WebhookEndpoint, Problem> {
    db::webhook_endpoints::find(conn, tenant_id, id)
        .await?
        .map(Into::into)
        .ok_or_else(no_such_endpoint)
}
