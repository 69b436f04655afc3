//! An event on its way to one receiver.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words::names;

/// Where a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It is being sent, or waits for its next try.
    Pending,
    /// Its receiver answered 2xx.
    Delivered,
    /// It is not tried any more. It can be replayed.
    Dead,
}

names! {
    /// The name in SQL and JSON.
    DeliveryStatus:
    Pending = "pending",
    Delivered = "delivered",
    Dead = "dead",
}

/// Why a delivery is not tried any more. A stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// Every try of the schedule failed.
    Exhausted,
    /// Its receiver was down for longer than the schedule lasts, so not every try was made.
    Expired,
    /// Its receiver answered 410.
    EndpointGone,
    /// Its endpoint was disabled.
    EndpointDisabled,
    /// Its endpoint was deleted.
    EndpointDeleted,
    /// What it would have told is erased.
    TranscriptionDeleted,
}

names! {
    /// The name in SQL and JSON.
    DeadReason:
    Exhausted = "exhausted",
    Expired = "expired",
    EndpointGone = "endpoint_gone",
    EndpointDisabled = "endpoint_disabled",
    EndpointDeleted = "endpoint_deleted",
    TranscriptionDeleted = "transcription_deleted",
}

/// How a caller wants to be called when its transcription ends: Gladia's `callback_config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// Where.
    pub url: String,
    /// How.
    pub method: CallbackMethod,
}

/// How a callback is sent (Gladia's OpenAPI, `CallbackConfigDto.method`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum CallbackMethod {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_way_to_sql_and_back() {
        for status in DeliveryStatus::ALL {
            assert_eq!(status.as_str().parse::<DeliveryStatus>().unwrap(), status);
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for reason in DeadReason::ALL {
            assert_eq!(reason.as_str().parse::<DeadReason>().unwrap(), reason);
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
