//! Whom a callback is about, the wait that it ends, and what is told of that.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::CallbackOutcome;
use crate::{
    db::events::Numbered,
    domain::{
        ids::{DeliveryId, Ids, JobId, LaneId, TenantId},
        trace_context::TraceContext,
    },
};

/// What came of a callback.
#[derive(Debug)]
pub struct RecordedCallback {
    /// What it did.
    pub outcome: CallbackOutcome,
    /// Whose it is, where it was taken now.
    pub of: Option<CalledBack>,
    /// What the same commit has told the log. `None`: that is left to the sequencer.
    pub announced: Option<Announced>,
    /// Why it was quarantined.
    pub reason: Option<String>,
}

/// What came of callbacks that shared a commit.
#[derive(Debug, Default)]
pub struct RecordedGroup {
    /// Of each of them, in their order. `None`: there is more to it, and nothing is changed.
    pub each: Vec<Option<RecordedCallback>>,
    /// What the commit has told the log. `None`: that is left to the sequencer.
    pub announced: Option<Announced>,
}

/// What it takes to tell of a job's end with the commit that ends it.
pub struct Tells<'a> {
    /// Where ids of deliveries come from.
    pub ids: &'a Ids,
    /// The process that sends them. `None`: they are for whoever claims them.
    pub worker: Option<&'a str>,
    /// After this it is taken for dead.
    pub lease: Duration,
    /// How many it can take of a tenant.
    pub room: &'a (dyn Fn(TenantId) -> usize + Send + Sync),
}

/// Events that have got their numbers with the commit that made them.
#[derive(Debug)]
pub struct Announced {
    /// The events.
    pub numbered: Numbered,
    /// Lanes in which some of their deliveries are still to be claimed.
    pub lanes: Vec<LaneId>,
    /// The deliveries that are leased to this process.
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
impl From<CallbackOutcome> for RecordedCallback {
    fn from(outcome: CallbackOutcome) -> Self {
        Self {
            outcome,
            of: None,
            announced: None,
            reason: None,
        }
    }
}
