//! What happens to a job, as the event log has it.

use std::str::FromStr;

use super::job::UnknownName;

/// What happened to a job.
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
}

/// Every type, in the order of a job's life.
const ALL: [EventType; 10] = [
    EventType::Queued,
    EventType::Submitting,
    EventType::Requeued,
    EventType::Unknown,
    EventType::Processing,
    EventType::Done,
    EventType::Error,
    EventType::Retried,
    EventType::Canceled,
    EventType::Deleted,
];

impl EventType {
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
        }
    }
}

impl FromStr for EventType {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ALL.into_iter()
            .find(|event| event.as_str() == text)
            .ok_or_else(|| UnknownName(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_way_to_sql_and_back() {
        for event in ALL {
            assert_eq!(event.as_str().parse::<EventType>().unwrap(), event);
        }
    }
}
