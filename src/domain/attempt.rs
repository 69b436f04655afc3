//! An attempt to submit a job, and what is known of how it went.
//!
//! Gladia bills every create that it accepts and recognises no repetition. So the one question after a create is: may it
//! be sent again? Each answer to that is a type here.

use std::time::Duration;

use super::words::{names, words};

/// Where an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptState {
    /// Committed; the request may leave at any moment.
    Submitting,
    /// Gladia has it.
    Accepted,
    /// It may have reached Gladia. Keeps its slot until the slot's deadline. A callback, a look or an operator settles it.
    Unknown,
    /// It cannot have reached Gladia.
    NotSent,
    /// Gladia refused it.
    Refused,
    /// Its success arrived.
    Done,
    /// Its failure arrived.
    Error,
    /// Given up: no result that counts came by its slot's deadline, Gladia has it no more or deleted it for us, or an operator decided
    /// so.
    Expired,
}

names! {
    /// The name in SQL.
    AttemptState:
    Submitting = "submitting",
    Accepted = "accepted",
    Unknown = "unknown",
    NotSent = "not_sent",
    Refused = "refused",
    Done = "done",
    Error = "error",
    Expired = "expired",
}

impl AttemptState {
    /// Whether something may still come of it.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Submitting | Self::Accepted | Self::Unknown)
    }
}

/// What the answer to a create, or its absence, proves.
#[derive(Debug, Clone, PartialEq)]
pub enum SubmitOutcome {
    /// Gladia has the job, under this id.
    Accepted {
        /// Gladia's id of it.
        gladia_id: String,
    },
    /// Gladia refused the request in its own envelope: not billed, and repeating it would not help.
    Refused {
        /// HTTP status.
        http_status: u16,
        /// Gladia's message and validation errors.
        message: String,
    },
    /// Gladia refused our key (401, 403), or wants its account paid first (402): says nothing of the job at first, and stops all dispatch.
    KeyRefused {
        /// HTTP status.
        http_status: u16,
        /// Gladia's message.
        message: String,
    },
    /// Gladia refused what the gateway itself adds to every request, such as its callback address: the same holds, and no caller
    /// can mend it.
    GatewayRefused {
        /// HTTP status.
        http_status: u16,
        /// Gladia's message and validation errors.
        message: String,
    },
    /// Gladia takes no more at the moment (429 in its envelope or in its words): not billed, free to repeat.
    Busy {
        /// Gladia's message.
        message: String,
        /// How long it asks us to wait, if it says so.
        retry_after: Option<Duration>,
    },
    /// What is to be sent cannot be read any more: nothing was sent, and nothing will be.
    Unreadable {
        /// Why, for the job's caller.
        message: String,
    },
    /// The failure came before any byte of the body was handed over, or nothing there takes creates: free to repeat.
    NotSent {
        /// What went wrong.
        detail: String,
    },
    /// Everything else. May be accepted and billed, so it is not repeated.
    Unknown {
        /// HTTP status, if there was an answer.
        http_status: Option<u16>,
        /// What went wrong.
        detail: String,
    },
}

impl SubmitOutcome {
    words! {
        /// A word for logs and metrics.
        name(&self):
        Accepted = "accepted",
        Refused = "refused",
        KeyRefused = "key_refused",
        GatewayRefused = "gateway_refused",
        Busy = "busy",
        Unreadable = "unreadable",
        NotSent = "not_sent",
        Unknown = "unknown",
    }

    /// The status of Gladia's answer, where it is known.
    #[must_use]
    pub fn http_status(&self) -> Option<u16> {
        match self {
            Self::Refused { http_status, .. }
            | Self::KeyRefused { http_status, .. }
            | Self::GatewayRefused { http_status, .. } => Some(*http_status),
            Self::Busy { .. } => Some(429),
            Self::Unknown { http_status, .. } => *http_status,
            Self::Accepted { .. } | Self::Unreadable { .. } | Self::NotSent { .. } => None,
        }
    }
}
