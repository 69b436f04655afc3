//! What happens, as the event log has it, and the part of it that others are told ([`public`]).

use std::str::FromStr;

use super::job::UnknownName;

mod public;
mod view;

pub use self::{
    public::{Event, EventFacts, EventId, PublicEventType, Subject},
    view::{
        EventError, EventLinks, EventView, TranscriptionEvent, TranscriptionEventData,
        TranscriptionEventType, WebhookEndpointEvent, WebhookEndpointEventData,
        WebhookEndpointEventType,
    },
};

/// What happened to a job, or to a webhook endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// Accepted from its caller.
    Queued,
    /// An attempt holds a slot.
    Submitting,
    /// An attempt came back unsent.
    Requeued,
    /// An attempt may or may not have reached Gladia.
    Unknown,
    /// Gladia accepted it.
    Processing,
    /// It has its result.
    Done,
    /// It has failed.
    Error,
    /// Its caller has it tried again after an error.
    Retried,
    /// Its caller canceled it.
    Canceled,
    /// Its caller deleted it.
    Deleted,
    /// A webhook endpoint is sent nothing any more.
    EndpointDisabled,
    /// The owner of a webhook endpoint wants to see whether events get there.
    EndpointTest,
}

impl EventType {
    /// Every type, in the order of a job's life.
    pub const ALL: [Self; 12] = [
        Self::Queued,
        Self::Submitting,
        Self::Requeued,
        Self::Unknown,
        Self::Processing,
        Self::Done,
        Self::Error,
        Self::Retried,
        Self::Canceled,
        Self::Deleted,
        Self::EndpointDisabled,
        Self::EndpointTest,
    ];

    /// The name in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "transcription.queued",
            Self::Submitting => "transcription.submitting",
            Self::Requeued => "transcription.requeued",
            Self::Unknown => "transcription.unknown",
            Self::Processing => "transcription.processing",
            Self::Done => "transcription.done",
            Self::Error => "transcription.error",
            Self::Retried => "transcription.retried",
            Self::Canceled => "transcription.canceled",
            Self::Deleted => "transcription.deleted",
            Self::EndpointDisabled => "webhook_endpoint.disabled",
            Self::EndpointTest => "webhook_endpoint.test",
        }
    }

    /// As others are told. `None`: nothing changes that they see.
    #[must_use]
    pub fn public(self) -> Option<PublicEventType> {
        Some(match self {
            // A job that is tried again is in line again.
            Self::Queued | Self::Retried => PublicEventType::Queued,
            Self::Processing => PublicEventType::Processing,
            Self::Done => PublicEventType::Done,
            Self::Error => PublicEventType::Error,
            Self::Canceled => PublicEventType::Canceled,
            Self::Deleted => PublicEventType::Deleted,
            Self::EndpointDisabled => PublicEventType::EndpointDisabled,
            Self::EndpointTest => PublicEventType::EndpointTest,
            // The statements in `db::events` and an index name these three.
            Self::Submitting | Self::Requeued | Self::Unknown => return None,
        })
    }

    /// Every type that others are told as one of these.
    #[must_use]
    pub fn told_as(kinds: &[PublicEventType]) -> Vec<Self> {
        Self::ALL
            .into_iter()
            .filter(|event| event.public().is_some_and(|kind| kinds.contains(&kind)))
            .collect()
    }
}

impl FromStr for EventType {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|event| event.as_str() == text)
            .ok_or_else(|| UnknownName(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_way_to_sql_and_back() {
        for event in EventType::ALL {
            assert_eq!(event.as_str().parse::<EventType>().unwrap(), event);
        }
    }

    #[test]
    fn a_public_type_may_stand_for_several() {
        let queued = EventType::told_as(&[PublicEventType::Queued]);
        assert_eq!(queued, [EventType::Queued, EventType::Retried]);
        let all = EventType::told_as(&PublicEventType::ALL);
        assert_eq!(all.len(), EventType::ALL.len() - 3);
        assert_eq!(EventType::told_as(&[]), []);
    }
}
