//! Finding the endpoint that a path names.

use sqlx::PgConnection;

use super::view::WebhookEndpoint;
use crate::{
    db,
    domain::ids::{EndpointId, TenantId},
    http::{
        problem::{Problem, ProblemType},
        request::id_path::InPath,
    },
};

impl InPath for EndpointId {
    fn names_nothing() -> Problem {
        no_such_endpoint()
    }
}

/// An endpoint that the caller does not have.
pub fn no_such_endpoint() -> Problem {
    Problem::new(
        ProblemType::NotFound,
        "There is no webhook endpoint with this id.",
    )
}

/// An endpoint that is sent nothing.
pub fn endpoint_disabled() -> Problem {
    Problem::new(
        ProblemType::WebhookEndpointDisabled,
        "The webhook endpoint is disabled, so nothing is sent there. Enable it first: POST …/enable.",
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
