//! What consumers were told, as the verdict wants it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;

use crate::domain::{
    event::{EventId, PublicEventType},
    ids::TenantId,
};

/// How many of a consumer's complaints are kept. One is enough for a verdict.
const MAX_WRONG: usize = 20;

/// Somebody who is told events.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// For people.
    pub name: String,
    /// Whose events.
    pub tenant_id: TenantId,
    /// What it may rely on.
    pub promise: Promise,
}

/// What a consumer may rely on.
#[derive(Debug, Clone, Copy)]
pub enum Promise {
    /// Every event once, in order: streams and the change list.
    Once,
    /// Events of these types, or of all, each once or more: webhooks.
    AtLeastOnce(Option<&'static [PublicEventType]>),
}

impl Promise {
    /// Whether it holds for events of this type.
    pub fn covers(self, event_type: &str) -> bool {
        match self {
            Self::Once | Self::AtLeastOnce(None) => true,
            Self::AtLeastOnce(Some(types)) => types.iter().any(|kind| kind.as_str() == event_type),
        }
    }
}

/// An event as it came.
#[derive(Debug, Clone)]
pub struct ToldEvent {
    pub id: EventId,
    pub body: Bytes,
    /// Whether the consumer said that it has it; whoever sends a webhook without hearing so has to send it again.
    pub taken: bool,
}

/// Everything that a consumer was told, in the order in which it came.
#[derive(Debug, Clone)]
pub struct Told {
    pub consumer: Consumer,
    pub events: Vec<ToldEvent>,
    /// What should not have come.
    pub wrong: Vec<String>,
    /// How many connections or requests it took.
    pub rounds: usize,
}

impl Told {
    /// What came to a webhook endpoint.
    pub fn by_webhooks(consumer: Consumer, calls: Vec<Call>, mut wrong: Vec<String>) -> Self {
        let rounds = calls.len();
        let mut events = Vec::new();
        for Call {
            id,
            body,
            taken,
            method,
        } in calls
        {
            match id.parse() {
                Ok(id) if method == "POST" => events.push(ToldEvent { id, body, taken }),
                _ => complain(
                    &mut wrong,
                    format!("{method} of {id}, which is no event's id"),
                ),
            }
        }
        Self {
            consumer,
            events,
            wrong,
            rounds,
        }
    }
}

/// The callbacks of one tenant's jobs.
#[derive(Debug, Clone)]
pub struct Called {
    pub tenant_id: TenantId,
    pub calls: Vec<Call>,
    /// What should not have come.
    pub wrong: Vec<String>,
}

/// A callback as it came, with a signature that is right.
#[derive(Debug, Clone)]
pub struct Call {
    /// `webhook-id`.
    pub id: String,
    pub method: String,
    pub body: Bytes,
    /// Whether it was answered with 2xx.
    pub taken: bool,
}

/// Where a reader writes down what it is told. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Notebook(Arc<Mutex<Told>>);

impl Notebook {
    pub fn of(consumer: Consumer) -> Self {
        Self(Arc::new(Mutex::new(Told {
            consumer,
            events: Vec::new(),
            wrong: Vec::new(),
            rounds: 0,
        })))
    }

    /// Whose events are read.
    pub fn tenant_id(&self) -> TenantId {
        self.lock().consumer.tenant_id
    }

    /// The event that came last; the one before the first where none did.
    pub fn last(&self) -> EventId {
        self.lock()
            .events
            .last()
            .map_or(EventId::ZERO, |event| event.id)
    }

    /// Notes an event.
    pub fn add(&self, id: EventId, body: Bytes) {
        let taken = true;
        self.lock().events.push(ToldEvent { id, body, taken });
    }

    /// Notes what should not have come.
    pub fn complain(&self, what: String) {
        complain(&mut self.lock().wrong, what);
    }

    /// Notes another connection or request.
    pub fn begin_round(&self) {
        self.lock().rounds += 1;
    }

    /// Everything that was noted.
    pub fn told(&self) -> Told {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a complaint, unless there are enough.
pub fn complain(wrong: &mut Vec<String>, what: String) {
    if wrong.len() < MAX_WRONG {
        wrong.push(what);
    }
}
