//! Events as others are told of them: in webhooks, streams and the change list alike.

use std::{borrow::Cow, fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};
use uuid::Uuid;

use crate::domain::{
    ids::{EndpointId, JobId, TenantId},
    words::names,
};

/// What is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PublicEventType {
    /// A transcription waits for its turn: it was accepted, or is to be tried again.
    Queued,
    /// Gladia has accepted it.
    Processing,
    /// It has its result.
    Done,
    /// It has failed.
    Error,
    /// It was canceled.
    Canceled,
    /// Its content was erased.
    Deleted,
    /// A webhook endpoint is sent nothing any more.
    EndpointDisabled,
    /// A test of a webhook endpoint.
    EndpointTest,
}

names! {
    /// The name in JSON.
    PublicEventType:
    Queued = "transcription.queued",
    Processing = "transcription.processing",
    Done = "transcription.done",
    Error = "transcription.error",
    Canceled = "transcription.canceled",
    Deleted = "transcription.deleted",
    EndpointDisabled = "webhook_endpoint.disabled",
    EndpointTest = "webhook_endpoint.test",
}

impl PublicEventType {
    /// Whether nothing more is expected of its transcription by itself.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Done | Self::Error | Self::Canceled | Self::Deleted
        )
    }
}

impl PartialSchema for PublicEventType {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::ALL.map(Self::as_str)))
            .description(Some("A type of event."))
            .into()
    }
}

impl ToSchema for PublicEventType {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("EventType")
    }
}

/// An event's public number. The same in webhooks, streams and the change list; later events have greater ones.
///
/// Numbers count the events of all tenants, so one tenant sees gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub i64);

impl EventId {
    /// Before the first.
    pub const ZERO: Self = Self(0);

    /// What an id looks like, for people.
    pub const RULE: &'static str = "must be the id of an event, such as evt_42";

    /// The same for programs.
    pub const PATTERN: &'static str = "^evt_(0|[1-9][0-9]{0,17})$";

    const PREFIX: &'static str = "evt_";

    /// More numbers than there will ever be events: a pattern can say so many digits, but not [`i64::MAX`].
    const END: i64 = 1_000_000_000_000_000_000;
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0)
    }
}

/// No id of an event.
#[derive(Debug, thiserror::Error)]
#[error("{}", EventId::RULE)]
pub struct NoEventId;

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<Self, NoEventId> {
        let digits = text.strip_prefix(Self::PREFIX).ok_or(NoEventId)?;
        let number: i64 = digits.parse().map_err(|_| NoEventId)?;
        // One spelling for each: neither signs nor leading zeros.
        if (0..Self::END).contains(&number) && number.to_string() == digits {
            Ok(Self(number))
        } else {
            Err(NoEventId)
        }
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl PartialSchema for EventId {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(Self::PATTERN))
            .description(Some(
                "An event's id: `evt_` and a number. Later events have greater numbers; other tenants' leave gaps.",
            ))
            .examples([serde_json::json!("evt_42")])
            .into()
    }
}

impl ToSchema for EventId {}

/// Whom an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A transcription.
    Job(JobId),
    /// A webhook endpoint.
    Endpoint(EndpointId),
}

/// What an event says beside its type and its time, as the log keeps it. Names that a newer version writes mean nothing to
/// this one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EventFacts {
    /// The job's status in the database.
    pub status: Option<String>,
    /// Why it is there.
    pub status_reason: Option<String>,
    /// The kind of failure.
    pub error_type: Option<String>,
    /// Gladia's code.
    pub error_code: Option<i32>,
    /// The batch that it came with.
    pub batch_id: Option<Uuid>,
    /// Why an endpoint is disabled.
    pub disabled_reason: Option<String>,
    /// When the callback came that ended the job. For the metrics.
    pub received_at: Option<DateTime<Utc>>,
}

/// An event that has its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub id: EventId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Whom it is about.
    pub subject: Subject,
    /// What happened.
    pub kind: PublicEventType,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// What else.
    pub facts: EventFacts,
}

impl Event {
    /// Of the end of a transcription: since when callers wait to be told. That is the arrival of Gladia's callback, where one
    /// brought it about.
    #[must_use]
    pub fn known_since(&self) -> Option<DateTime<Utc>> {
        let is_end = matches!(self.kind, PublicEventType::Done | PublicEventType::Error);
        is_end.then(|| self.facts.received_at.unwrap_or(self.occurred_at))
    }
}

impl Event {
    /// The transcription that it is about.
    #[must_use]
    pub fn job_id(&self) -> Option<JobId> {
        match self.subject {
            Subject::Job(id) => Some(id),
            Subject::Endpoint(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_has_one_spelling() {
        for number in [0, 1, 42, EventId::END - 1] {
            let id = EventId(number);
            assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
            assert_eq!(serde_json::to_value(id).unwrap(), id.to_string());
        }
        for wrong in [
            "",
            "42",
            "evt_",
            "evt_-1",
            "evt_+1",
            "evt_042",
            "evt_ 1",
            "EVT_1",
            "evt_1.0",
            "evt_1000000000000000000",
            "evt_9223372036854775808",
        ] {
            assert!(wrong.parse::<EventId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn types_survive_the_way_to_json_and_back() {
        for kind in PublicEventType::ALL {
            assert_eq!(kind.as_str().parse::<PublicEventType>().unwrap(), kind);
        }
    }
}
