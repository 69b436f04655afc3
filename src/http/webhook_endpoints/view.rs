//! A webhook endpoint as its tenant sees it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    db::webhook_endpoints::Endpoint,
    domain::{
        event::PublicEventType,
        ids::EndpointId,
        webhook_endpoint::{DisabledReason, EndpointStatus},
    },
};

/// Where events are sent.
#[derive(Serialize, ToSchema)]
pub struct WebhookEndpoint {
    /// Its id.
    pub id: EndpointId,
    /// Where it is.
    pub url: String,
    /// What its tenant calls it.
    pub description: String,
    /// Which events it is sent. Null: all of them, those of types to come too.
    #[schema(value_type = Option<Vec<PublicEventType>>)]
    pub event_types: Option<Vec<String>>,
    /// Whether `transcription.done` comes with the result.
    pub include_result: bool,
    /// Whether it is sent anything.
    pub status: EndpointStatus,
    /// Why it is disabled.
    pub disabled_reason: Option<DisabledReason>,
    /// Since when it is disabled.
    pub disabled_at: Option<DateTime<Utc>>,
    /// How many tries in a row have failed.
    pub consecutive_failures: i32,
    /// Since when nothing gets through. Null while something does. After days of it the endpoint is disabled.
    pub failing_since: Option<DateTime<Utc>>,
    /// Nothing is tried before this time, since too much has failed. Null where that is not so.
    pub retry_at: Option<DateTime<Utc>>,
    /// When something last got through.
    pub last_success_at: Option<DateTime<Utc>>,
    /// When something last did not.
    pub last_failure_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its settings or its status last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<Endpoint> for WebhookEndpoint {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            id: endpoint.id,
            url: endpoint.url,
            description: endpoint.description,
            event_types: endpoint.event_types,
            include_result: endpoint.includes_result,
            status: endpoint.status,
            disabled_reason: endpoint.disabled_reason,
            disabled_at: endpoint.disabled_at,
            consecutive_failures: endpoint.lane.failures,
            failing_since: endpoint.lane.failing_since,
            retry_at: endpoint.lane.open_until,
            last_success_at: endpoint.lane.last_success_at,
            last_failure_at: endpoint.lane.last_failure_at,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

/// A new webhook endpoint, with what its events are signed with.
#[derive(Serialize, ToSchema)]
pub struct WebhookEndpointWithSecret {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: WebhookEndpoint,
    /// What its events are signed with: `whsec_` and base64, as Standard Webhooks libraries take it. It is shown this once;
    /// who has lost it rotates it.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=")]
    pub secret: String,
}
