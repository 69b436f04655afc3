//! Where a tenant wants its events sent.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{delivery::DeadReason, event::PublicEventType, words::names};

/// How many endpoints a tenant may have: each event is looked at for each of them.
pub const MOST_ENDPOINTS: i64 = 20;

/// Which events a webhook endpoint is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedEvents {
    /// All, those of types to come too.
    All,
    /// Those of these types.
    Only(Vec<PublicEventType>),
}

impl WantedEvents {
    /// Those of these types, each named once, in the order of a transcription's life.
    #[must_use]
    pub fn only(named: &[PublicEventType]) -> Self {
        let all = PublicEventType::ALL.into_iter();
        Self::Only(all.filter(|kind| named.contains(kind)).collect())
    }

    /// The names of the types. `None`: all.
    #[must_use]
    pub fn names(&self) -> Option<Vec<&'static str>> {
        match self {
            Self::All => None,
            Self::Only(types) => Some(types.iter().map(|kind| kind.as_str()).collect()),
        }
    }
}

/// Whether a webhook endpoint is sent events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookEndpointStatus)]
pub enum EndpointStatus {
    /// It is.
    Enabled,
    /// It is not; events of that time are not sent later.
    Disabled,
}

names! {
    /// The name in SQL and JSON.
    EndpointStatus:
    Enabled = "enabled",
    Disabled = "disabled",
}

/// Why a webhook endpoint is sent nothing. A stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisabledReason {
    /// Its tenant wants it so.
    Request,
    /// It answered 410.
    Gone,
    /// Nothing got through for days.
    Failing,
}

names! {
    /// The name in SQL and JSON.
    DisabledReason:
    Request = "request",
    Gone = "gone",
    Failing = "failing",
}

impl DisabledReason {
    /// What becomes of deliveries that are still to be sent.
    #[must_use]
    pub fn dead_reason(self) -> DeadReason {
        match self {
            Self::Gone => DeadReason::EndpointGone,
            Self::Request | Self::Failing => DeadReason::EndpointDisabled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_way_to_sql_and_back() {
        for status in EndpointStatus::ALL {
            assert_eq!(status.as_str().parse::<EndpointStatus>().unwrap(), status);
        }
        for reason in DisabledReason::ALL {
            assert_eq!(reason.as_str().parse::<DisabledReason>().unwrap(), reason);
        }
    }
}
