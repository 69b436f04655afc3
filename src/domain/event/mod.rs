//! What happens, as the event log has it, and the part of it that others are told ([`public`]).

use super::words::names;

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

names! {
    /// The name in SQL.
    EventType:
    Queued = PublicEventType::Queued.as_str(),
    Submitting = "transcription.submitting",
    Requeued = "transcription.requeued",
    Unknown = "transcription.unknown",
    Processing = PublicEventType::Processing.as_str(),
    Done = PublicEventType::Done.as_str(),
    Error = PublicEventType::Error.as_str(),
    Retried = "transcription.retried",
    Canceled = PublicEventType::Canceled.as_str(),
    Deleted = PublicEventType::Deleted.as_str(),
    EndpointDisabled = PublicEventType::EndpointDisabled.as_str(),
    EndpointTest = PublicEventType::EndpointTest.as_str(),
}

impl EventType {
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
