//! A delivery as callers see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    db::deliveries,
    domain::{
        delivery::{DeadReason, DeliveryStatus},
        event::EventId,
        ids::{DeliveryId, EndpointId, JobId},
    },
};

/// What a delivery is sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryKind {
    /// The event, to a webhook endpoint.
    Webhook,
    /// In Gladia's form, to the `callback_config` of the transcription.
    Callback,
}

/// An event on its way to one receiver.
#[derive(Debug, Serialize, ToSchema)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The event that it tells of.
    pub event_id: EventId,
    /// The type of that event, such as `transcription.done`.
    #[schema(example = "transcription.done")]
    pub event_type: String,
    /// The transcription that the event is about.
    pub transcription_id: Option<JobId>,
    /// What it is sent as.
    pub kind: DeliveryKind,
    /// The webhook endpoint that it goes to, which may be deleted since. Null: it is a callback.
    pub endpoint_id: Option<EndpointId>,
    /// Scheme, host and port that a callback goes to. Null: it goes to an endpoint.
    #[schema(example = "https://example.com")]
    pub origin: Option<String>,
    /// Where it is.
    pub status: DeliveryStatus,
    /// Why it is dead.
    pub dead_reason: Option<DeadReason>,
    /// How often it was tried since it was made, or replayed.
    pub tries: i32,
    /// When it is tried next at the earliest, while it is pending: never before a pause of its receiver ends.
    pub next_try_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was delivered, or died.
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<deliveries::Delivery> for Delivery {
    fn from(delivery: deliveries::Delivery) -> Self {
        Self {
            id: delivery.id,
            event_id: delivery.event_id,
            event_type: delivery.event_type,
            transcription_id: delivery.job_id,
            kind: match delivery.endpoint_id {
                Some(_) => DeliveryKind::Webhook,
                None => DeliveryKind::Callback,
            },
            endpoint_id: delivery.endpoint_id,
            origin: delivery.origin,
            status: delivery.status,
            dead_reason: delivery.dead_reason,
            tries: delivery.tries,
            next_try_at: delivery.next_try_at,
            created_at: delivery.created_at,
            finished_at: delivery.finished_at,
        }
    }
}

/// How a try went.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryAttempt {
    /// Its number, from 1. It goes on when the delivery is replayed.
    pub number: i32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: i32,
    /// The HTTP status of the answer, where there was one.
    pub http_status: Option<i32>,
    /// Why it did not get through, as a stable code: `http_status`, `redirect`, `timeout`, `connection`, `name_resolution`,
    /// `tls`, `address_refused`, `port_refused`, `internal`, `interrupted`; more may come. Null: it got through.
    #[schema(example = "http_status")]
    pub error: Option<String>,
    /// The same for people.
    pub error_detail: Option<String>,
    /// The first bytes of the answer. Null where there was none, and once the transcription is erased.
    pub response_start: Option<String>,
}

impl From<deliveries::DeliveryAttempt> for DeliveryAttempt {
    fn from(attempt: deliveries::DeliveryAttempt) -> Self {
        Self {
            number: attempt.number,
            started_at: attempt.started_at,
            duration_ms: attempt.duration_ms,
            http_status: attempt.http_status,
            error: attempt.error,
            error_detail: attempt.error_detail,
            response_start: attempt.response_start,
        }
    }
}
