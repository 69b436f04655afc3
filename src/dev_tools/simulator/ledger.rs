//! The ledger: every request that came, every callback that went, and the sums.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::{clock, faults::Operation};

/// Older requests are forgotten beyond this many; the counts go on.
const REMEMBERED_REQUESTS: usize = 50_000;

/// A request as it came.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RequestRecord {
    #[serde(serialize_with = "as_iso")]
    pub(super) at: DateTime<Utc>,
    /// `api`, or `storage` for the other origin that serves files.
    pub(super) origin: &'static str,
    pub(super) method: String,
    pub(super) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) query: Option<String>,
    /// None while it runs, and for good if no answer was given.
    pub(super) status: Option<u16>,
    pub(super) has_key: bool,
    pub(super) user_agent: Option<String>,
    pub(super) body_bytes: u64,
    /// Whether the whole request was received; false for an upload that was cut off.
    pub(super) completed: bool,
    /// Whether the simulator broke the connection.
    pub(super) severed: bool,
}

/// One attempt to deliver a callback.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CallbackRecord {
    #[serde(serialize_with = "as_iso")]
    pub(super) at: DateTime<Utc>,
    /// The receiver's answer; none if there was none.
    pub(super) status: Option<u16>,
    pub(super) attempt: u32,
    /// Why there was no answer, or what was done instead of sending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
}

/// Sums since the start or the last reset.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Counts {
    pub(super) creates_received: u64,
    pub(super) creates_accepted: u64,
    pub(super) gets: u64,
    pub(super) lists: u64,
    /// Lists that were answered with jobs, each page on its own.
    pub(super) list_pages: u64,
    pub(super) deletes: u64,
    pub(super) files: u64,
    pub(super) uploads: u64,
    pub(super) uploads_accepted: u64,
    pub(super) uploads_interrupted: u64,
    /// Accepted and not yet ended, now.
    pub(super) in_flight: u64,
    /// The most that were accepted and not yet ended at the same time.
    pub(super) max_in_flight_seen: u64,
    pub(super) jobs_done: u64,
    pub(super) jobs_failed: u64,
    /// Attempts, answered or not.
    pub(super) callbacks_sent: u64,
    /// Attempts answered with 2xx.
    pub(super) callbacks_delivered: u64,
    pub(super) callbacks_lost: u64,
    /// Attempts that sent half of the body as if it were all.
    pub(super) callbacks_truncated: u64,
    pub(super) webhooks_sent: u64,
    pub(super) faults_applied: u64,
    /// Downloads that carried the API key to the other origin.
    pub(super) keys_leaked: u64,
}

/// Names a request in the ledger while it runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestNumber(u64);

/// Everything that happened.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    requests: VecDeque<RequestRecord>,
    forgotten: u64,
    pub(super) counts: Counts,
}

impl Ledger {
    /// Notes a request that has just come.
    pub(super) fn open(
        &mut self,
        record: RequestRecord,
        operation: Option<Operation>,
    ) -> RequestNumber {
        let counts = &mut self.counts;
        match operation {
            Some(Operation::Create) => counts.creates_received += 1,
            Some(Operation::Upload) => counts.uploads += 1,
            Some(Operation::Get) => counts.gets += 1,
            Some(Operation::Delete) => counts.deletes += 1,
            Some(Operation::File) => counts.files += 1,
            Some(Operation::List) => counts.lists += 1,
            Some(Operation::Callback | Operation::Any) | None => {}
        }
        if self.requests.len() == REMEMBERED_REQUESTS {
            self.requests.pop_front();
            self.forgotten += 1;
        }
        self.requests.push_back(record);
        RequestNumber(self.forgotten + self.requests.len() as u64 - 1)
    }

    /// The record of a request, unless it is forgotten by now.
    pub(super) fn record(&mut self, number: RequestNumber) -> Option<&mut RequestRecord> {
        let index = number.0.checked_sub(self.forgotten)?;
        self.requests.get_mut(usize::try_from(index).ok()?)
    }

    /// Notes that a job was accepted.
    pub(super) fn accepted(&mut self) {
        let counts = &mut self.counts;
        counts.creates_accepted += 1;
        counts.in_flight += 1;
        counts.max_in_flight_seen = counts.max_in_flight_seen.max(counts.in_flight);
    }

    /// Notes that a job ended.
    pub(super) fn ended(&mut self, done: bool) {
        let counts = &mut self.counts;
        counts.in_flight = counts.in_flight.saturating_sub(1);
        if done {
            counts.jobs_done += 1;
        } else {
            counts.jobs_failed += 1;
        }
    }

    /// The requests that are remembered, oldest first.
    pub(super) fn requests(&self) -> &VecDeque<RequestRecord> {
        &self.requests
    }
}

impl CallbackRecord {
    /// Whether it was answered with 2xx.
    pub(super) fn is_delivered(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }

    pub(super) fn now(attempt: u32, status: Option<u16>, note: Option<String>) -> Self {
        Self {
            at: clock::now(),
            status,
            attempt,
            note,
        }
    }
}

fn as_iso<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&clock::iso(*at))
}
