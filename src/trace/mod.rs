//! One trace over the whole way of a job, the waits in it too.
//!
//! A request may say which trace it belongs to ([`TraceContext`]). That is kept with the job, so that whichever process goes
//! on with it, minutes later or after a restart, adds to the same trace:
//!
//! ```text
//! caller's span
//! └ accept          the request, until its job is committed
//!   ├ queue         from its acceptance, or its last attempt's end, to the claim
//!   ├ submit        the POST to Gladia
//!   ├ upstream_wait from Gladia's answer to the callback
//!   ├ complete      from the callback to its commit
//!   └ tell          each try of a webhook
//! ```
//!
//! Spans leave the process where it was built with the feature `otel` and a collector is named ([`export_to`]). Without that
//! there are none, and what a caller sent is passed on as it came. Gladia is never told of traces.
//!
//! What a span says of a job is a [`Fact`]: ids, numbers and names of ours, so nothing secret has a way into one.

#[cfg(feature = "otel")]
mod export;
#[cfg(not(feature = "otel"))]
mod no_export;

use std::{fmt, time::SystemTime};

#[cfg(feature = "otel")]
use export as exporting;
#[cfg(not(feature = "otel"))]
use no_export as exporting;

pub use exporting::{Exporter, export_to};

use crate::domain::{
    ids::{AttemptId, BatchId, DeliveryId, JobId},
    trace_context::TraceContext,
};

/// A part of a job's way that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch {
    /// The request that makes jobs.
    Accept,
    /// A job waits in line.
    Queue,
    /// It is sent to Gladia.
    Submit,
    /// Gladia is at work on it.
    UpstreamWait,
    /// Its result is taken.
    Complete,
    /// A try to tell somebody of it.
    Tell,
}

impl Stretch {
    /// The name of its span.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Queue => "queue",
            Self::Submit => "submit",
            Self::UpstreamWait => "upstream_wait",
            Self::Complete => "complete",
            Self::Tell => "tell",
        }
    }
}

/// What a span may say.
#[derive(Debug, Clone, Copy)]
pub enum Fact {
    /// The job.
    Job(JobId),
    /// The batch that several jobs came with.
    Batch(BatchId),
    /// How many.
    Jobs(usize),
    /// The attempt to submit the job.
    Attempt(AttemptId),
    /// Which one it is, from 1.
    AttemptNumber(i32),
    /// The delivery.
    Delivery(DeliveryId),
    /// Which try of it this is, from 1.
    Try(u32),
    /// The status of an answer.
    HttpStatus(u16),
    /// How it went, by a name of ours.
    Outcome(&'static str),
    /// The same, where it went wrong.
    Failure(&'static str),
}

/// A stretch that has begun. It ends when it is dropped, unless [`end`](Self::end) says so earlier.
pub struct Span {
    parent: Option<TraceContext>,
    live: Option<exporting::Live>,
}

impl Span {
    /// Begins one now.
    #[must_use]
    pub fn begin(stretch: Stretch, parent: Option<&TraceContext>) -> Self {
        Self::began_at(stretch, parent, now())
    }

    /// The same for one that began earlier.
    #[must_use]
    pub fn began_at(stretch: Stretch, parent: Option<&TraceContext>, at: SystemTime) -> Self {
        Self {
            parent: parent.cloned(),
            live: exporting::begin(stretch, parent, at),
        }
    }

    /// What goes on later belongs below: this span, or what is above it where nothing is exported.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        let own = self.live.as_ref().and_then(exporting::Live::traceparent);
        match own {
            Some(traceparent) => Some(TraceContext {
                traceparent,
                tracestate: self
                    .parent
                    .as_ref()
                    .and_then(|parent| parent.tracestate.clone()),
            }),
            None => self.parent.clone(),
        }
    }

    /// Says something of it.
    pub fn add(&mut self, fact: Fact) {
        if let Some(live) = &mut self.live {
            live.add(fact);
        }
    }

    /// Ends it now.
    pub fn end(self) {
        drop(self);
    }

    fn end_at(self, at: SystemTime) {
        if let Some(live) = self.live {
            live.end_at(at);
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span")
            .field("context", &self.context())
            .finish_non_exhaustive()
    }
}

/// The time of this process's clock, which nothing goes by: spans show it, and errors at `/v2`.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "it says when things happened, and decides nothing"
)]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Adds a stretch that lies behind: it may have begun in another process. Clocks differ, so one that ends before it begins
/// counts as having taken no time.
pub fn add(
    stretch: Stretch,
    parent: Option<&TraceContext>,
    began_at: SystemTime,
    ended_at: SystemTime,
    facts: &[Fact],
) {
    let mut span = Span::began_at(stretch, parent, began_at);
    for fact in facts {
        span.add(*fact);
    }
    span.end_at(ended_at.max(began_at));
}
