//! What has happened, for those of this process who wait for it: streams, waiting requests, the change list.
//!
//! One reader a process follows the event log by its public numbers ([`follow`]) and hands each event to whoever has
//! subscribed to its tenant or its job ([`Feed`]). What this process has numbered itself it is handed; the rest it reads.
//! Thousands of waiting callers cost one query a batch, and none of them holds a connection. Whoever waits subscribes
//! first and then reads the database: what is committed later is handed over, what was committed earlier is found. A
//! subscriber who falls behind is told so, and reads the database again.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::{
    event::{EventId, PublicEventType},
    ids::{JobId, TenantId},
};

mod follow;
mod hub;

pub use self::{
    follow::{Follower, Handover, write},
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
    /// One line of JSON.
    pub body: Bytes,
}

/// Events in the order of their numbers.
pub type Batch = Vec<Arc<Told>>;
