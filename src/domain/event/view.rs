//! The body of an event: one JSON text, wherever it is read.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::public::{Event, EventId, PublicEventType, Subject};
use crate::domain::{
    ids::{BatchId, EndpointId, JobId},
    job::{JobErrorType, JobStatus, PublicStatus, StatusReason},
    links::Links,
    webhook_endpoint::DisabledReason,
};

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Event)]
pub enum EventView {
    /// To a transcription.
    Transcription(TranscriptionEvent),
    /// To a webhook endpoint.
    WebhookEndpoint(WebhookEndpointEvent),
}

/// Something that happened to a transcription. Small on purpose: what it is about stands behind its links.
#[derive(Debug, Serialize, ToSchema)]
pub struct TranscriptionEvent {
    /// The same in webhooks, streams and the change list.
    pub id: EventId,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: TranscriptionEventType,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// To which transcription.
    pub data: TranscriptionEventData,
}

/// What happened to a transcription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum TranscriptionEventType {
    /// It waits for its turn: it was accepted, or is to be tried again.
    #[serde(rename = "transcription.queued")]
    Queued,
    /// Gladia has accepted it.
    #[serde(rename = "transcription.processing")]
    Processing,
    /// It has its result. After an `error` this still comes where a success arrives late.
    #[serde(rename = "transcription.done")]
    Done,
    /// It has failed.
    #[serde(rename = "transcription.error")]
    Error,
    /// It was canceled.
    #[serde(rename = "transcription.canceled")]
    Canceled,
    /// Its content was erased, by its caller or at the end of the retention.
    #[serde(rename = "transcription.deleted")]
    Deleted,
}

/// A transcription as an event left it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TranscriptionEventData {
    /// Its id.
    pub transcription_id: JobId,
    /// Where it was then. That its content is erased changes nothing of it.
    pub status: PublicStatus,
    /// Why it was there, where the status alone does not say it.
    pub status_reason: Option<StatusReason>,
    /// Why it failed, in short; the transcription itself has the message.
    pub error: Option<EventError>,
    /// The batch that it came with.
    pub batch_id: Option<BatchId>,
    /// Where to read on.
    pub links: EventLinks,
}

/// Why a transcription failed, in short.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventError {
    /// The kind of failure.
    #[serde(rename = "type")]
    pub kind: JobErrorType,
    /// Gladia's code, where it gave one.
    pub code: Option<i32>,
}

/// Where to read on: below `API_URL`, or paths where that is not set.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventLinks {
    /// The transcription.
    pub transcription: String,
    /// Its result, where it has one.
    pub result: Option<String>,
}

/// Something that happened to a webhook endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookEndpointEvent {
    /// The same in webhooks, streams and the change list.
    pub id: EventId,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: WebhookEndpointEventType,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// To which endpoint.
    pub data: WebhookEndpointEventData,
}

/// What happened to a webhook endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum WebhookEndpointEventType {
    /// It is sent nothing any more.
    #[serde(rename = "webhook_endpoint.disabled")]
    Disabled,
    /// Somebody wants to see whether events get there.
    #[serde(rename = "webhook_endpoint.test")]
    Test,
}

/// A webhook endpoint as an event left it.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookEndpointEventData {
    /// Its id.
    pub webhook_endpoint_id: EndpointId,
    /// Why it is disabled.
    pub disabled_reason: Option<DisabledReason>,
}

impl Event {
    /// As others see it.
    #[must_use]
    pub fn view(&self, links: &Links) -> EventView {
        match self.subject {
            Subject::Job(job_id) => EventView::Transcription(TranscriptionEvent {
                id: self.id,
                kind: transcription_type(self.kind),
                occurred_at: self.occurred_at,
                data: self.transcription(job_id, links),
            }),
            Subject::Endpoint(id) => EventView::WebhookEndpoint(WebhookEndpointEvent {
                id: self.id,
                kind: match self.kind {
                    PublicEventType::EndpointDisabled => WebhookEndpointEventType::Disabled,
                    _ => WebhookEndpointEventType::Test,
                },
                occurred_at: self.occurred_at,
                data: WebhookEndpointEventData {
                    webhook_endpoint_id: id,
                    disabled_reason: known(self.facts.disabled_reason.as_deref()),
                },
            }),
        }
    }

    /// The same as one line of JSON.
    ///
    /// # Errors
    /// None that can happen: every part of it has a spelling in JSON.
    pub fn written(&self, links: &Links) -> serde_json::Result<String> {
        serde_json::to_string(&self.view(links))
    }

    fn transcription(&self, job_id: JobId, links: &Links) -> TranscriptionEventData {
        let facts = &self.facts;
        let status = known::<JobStatus>(facts.status.as_deref());
        let status = status.map_or_else(|| status_after(self.kind), JobStatus::public);
        let result = (self.kind == PublicEventType::Done).then(|| links.result(job_id));
        TranscriptionEventData {
            transcription_id: job_id,
            status,
            status_reason: known(facts.status_reason.as_deref()),
            error: known(facts.error_type.as_deref()).map(|kind| EventError {
                kind,
                code: facts.error_code,
            }),
            batch_id: facts.batch_id.map(BatchId),
            links: EventLinks {
                transcription: links.transcription(job_id),
                result,
            },
        }
    }
}

fn transcription_type(kind: PublicEventType) -> TranscriptionEventType {
    match kind {
        PublicEventType::Queued => TranscriptionEventType::Queued,
        PublicEventType::Processing => TranscriptionEventType::Processing,
        PublicEventType::Done => TranscriptionEventType::Done,
        PublicEventType::Error => TranscriptionEventType::Error,
        PublicEventType::Canceled => TranscriptionEventType::Canceled,
        // No event of a transcription has the last two types.
        PublicEventType::Deleted
        | PublicEventType::EndpointDisabled
        | PublicEventType::EndpointTest => TranscriptionEventType::Deleted,
    }
}

/// Where an event of this type leaves a transcription whose status it does not say.
fn status_after(kind: PublicEventType) -> PublicStatus {
    match kind {
        PublicEventType::Processing => PublicStatus::Processing,
        PublicEventType::Done => PublicStatus::Done,
        PublicEventType::Error => PublicStatus::Error,
        PublicEventType::Canceled | PublicEventType::Deleted => PublicStatus::Canceled,
        PublicEventType::Queued
        | PublicEventType::EndpointDisabled
        | PublicEventType::EndpointTest => PublicStatus::Queued,
    }
}

/// A name, if this version knows it.
fn known<T: std::str::FromStr>(name: Option<&str>) -> Option<T> {
    name?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{event::EventFacts, ids::TenantId};

    fn event(kind: PublicEventType, facts: Value) -> Event {
        Event {
            id: EventId(42),
            tenant_id: TenantId(uuid::Uuid::nil()),
            subject: Subject::Job(JobId(uuid::Uuid::nil())),
            kind,
            occurred_at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            facts: serde_json::from_value::<EventFacts>(facts).unwrap(),
        }
    }

    fn read(event: &Event) -> Value {
        serde_json::from_str(&event.written(&Links::default()).unwrap()).unwrap()
    }

    #[test]
    fn a_done_transcription_links_to_its_result() {
        let done = event(PublicEventType::Done, json!({"status": "done"}));
        assert_eq!(
            read(&done),
            json!({
                "id": "evt_42",
                "type": "transcription.done",
                "occurred_at": "2023-11-14T22:13:20Z",
                "data": {
                    "transcription_id": "00000000-0000-0000-0000-000000000000",
                    "status": "done", "status_reason": null, "error": null, "batch_id": null,
                    "links": {
                        "transcription": "/v1/transcriptions/00000000-0000-0000-0000-000000000000",
                        "result": "/v1/transcriptions/00000000-0000-0000-0000-000000000000/result",
                    },
                },
            })
        );
    }

    #[test]
    fn a_failure_says_what_kind_it_is() {
        let facts =
            json!({"status": "error", "error_type": "transcription_failed", "error_code": 400});
        let failed = read(&event(PublicEventType::Error, facts));
        assert_eq!(
            failed["data"]["error"],
            json!({"type": "transcription_failed", "code": 400})
        );
        assert_eq!(failed["data"]["links"]["result"], Value::Null);
    }

    #[test]
    fn an_event_is_written_under_its_public_name() {
        for kind in PublicEventType::ALL {
            let mut told = event(kind, json!({}));
            if kind.as_str().starts_with("webhook_endpoint.") {
                told.subject = Subject::Endpoint(EndpointId(uuid::Uuid::nil()));
            }
            assert_eq!(read(&told)["type"], kind.as_str());
        }
    }

    #[test]
    fn what_another_version_has_written_is_understood_as_far_as_it_goes() {
        let facts = json!({"status": "asleep", "status_reason": "tired", "more": 1});
        let queued = read(&event(PublicEventType::Queued, facts));
        assert_eq!(queued["data"]["status"], "queued");
        assert_eq!(queued["data"]["status_reason"], Value::Null);
        let bare = read(&event(PublicEventType::Processing, json!({})));
        assert_eq!(bare["data"]["status"], "processing");
    }
}
