//! What has happened, for those of this process who wait for it: streams, waiting requests, the change list.
//!
//! One reader a process follows the event log by its public numbers ([`follow`]) and hands each event to whoever has
//! subscribed to its tenant or its job ([`Feed`]). What this process has numbered itself it is handed; the rest it reads.
//! Thousands of waiting callers cost one query a batch, and none of them holds a connection. Whoever waits subscribes
//! first and then reads the database: what is committed later is handed over, what was committed earlier is found. A
//! subscriber who falls behind is told so, and reads the database again.

use std::time::SystemTime;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::domain::{
    event::{EventId, PublicEventType},
    ids::{JobId, TenantId},
};

mod follow;
mod handover;
mod hub;

pub use self::{
    follow::{Follower, write},
    handover::{HandedOver, Handover},
    hub::{Feed, Next, Subscription, Topic},
};

/// An event, written once for everybody who is told.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its number.
    pub id: EventId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The transcription that it is about.
    pub job_id: Option<JobId>,
    /// What happened.
    pub kind: PublicEventType,
    /// Of the end of a transcription: since when callers wait to be told.
    pub known_since: Option<DateTime<Utc>>,
    /// One line of JSON.
    pub body: Bytes,
}

/// The way in which a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A webhook, or the callback of a request.
    Webhook,
    /// A stream.
    Stream,
    /// A request that waited.
    Wait,
}

/// Measures how long it took to tell of the end of a transcription.
pub fn observe(way: Way, known_since: Option<DateTime<Utc>>, told_at: DateTime<Utc>) {
    let Some(known_since) = known_since else {
        return;
    };
    let way = match way {
        Way::Webhook => "webhook",
        Way::Stream => "stream",
        Way::Wait => "wait",
    };
    let told_in = (told_at - known_since).to_std().unwrap_or_default();
    metrics::histogram!("gateway_told_seconds", "way" => way).record(told_in.as_secs_f64());
}

impl Told {
    /// Measures how long it took to tell of this one, by the clock of whoever tells.
    pub fn observe(&self, way: Way, told_at: SystemTime) {
        observe(way, self.known_since, told_at.into());
    }
}
