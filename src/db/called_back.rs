//! Whom a callback is about, and the wait that it ends.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{callbacks::CallbackOutcome, deliveries::FannedOut, events::Numbered};
use crate::domain::{
    ids::{DeliveryId, JobId},
    trace_context::TraceContext,
};

/// What came of a callback.
#[derive(Debug)]
pub struct Recorded {
    /// What it did.
    pub outcome: CallbackOutcome,
    /// Whose it is, where it was taken now.
    pub of: Option<CalledBack>,
    /// What the same commit has told the log. `None`: that is left to the sequencer.
    pub announced: Option<Announced>,
}

/// An event that has got its number with the commit that made it.
#[derive(Debug)]
pub struct Announced {
    /// It.
    pub numbered: Numbered,
    /// Its deliveries that are to be claimed.
    pub made: FannedOut,
    /// Those that are leased to this process.
    pub leased: Vec<DeliveryId>,
}

/// The attempt that a callback is about.
#[derive(Debug)]
pub struct CalledBack {
    /// Its job.
    pub job_id: JobId,
    /// Which attempt of the job it is, from 1.
    pub attempt_number: i32,
    /// Since when Gladia had it, where it was still waited for.
    pub waited_since: Option<DateTime<Utc>>,
    /// How long that was.
    pub waited: Duration,
    /// The span that all this belongs below.
    pub trace: Option<TraceContext>,
}

/// One that changed nothing.
impl From<CallbackOutcome> for Recorded {
    fn from(outcome: CallbackOutcome) -> Self {
        Self {
            outcome,
            of: None,
            announced: None,
        }
    }
}
