//! Handing on what a callback's own commit has told the log, so that those who wait need no other look.
//!
//! The commit numbers the event, makes its deliveries and leases them to this process, as the sequencer would
//! ([`crate::db::called_back::Tells`]). What follows is for others: they take it from a queue.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

use crate::{
    db::{
        called_back::{Announced, Tells},
        wakeups::Wakeups,
    },
    domain::ids::{Ids, TenantId},
};

/// Hands on. Clones are the same.
#[derive(Debug, Clone)]
pub struct Announcer {
    ids: Ids,
    wakeups: Wakeups,
    announced: mpsc::UnboundedSender<(Announced, Instant)>,
    lessee: Arc<OnceLock<Lessee>>,
}

/// What was announced, each with an instant not after its lease began.
pub type AnnouncedQueue = mpsc::UnboundedReceiver<(Announced, Instant)>;

/// Who sends deliveries in this process.
pub struct Lessee {
    /// The name of the process.
    pub worker: String,
    /// How long they are leased.
    pub lease: Duration,
    /// How many more of a tenant's can be sent now.
    pub room: Box<dyn Fn(TenantId) -> usize + Send + Sync>,
}

impl fmt::Debug for Lessee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lessee")
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}

impl Announcer {
    /// Makes one, with where ids of deliveries come from, and where it hands on to.
    #[must_use]
    pub fn new(ids: Ids, wakeups: Wakeups) -> (Self, AnnouncedQueue) {
        let (announced, queue) = mpsc::unbounded_channel();
        let lessee = Arc::default();
        (
            Self {
                ids,
                wakeups,
                announced,
                lessee,
            },
            queue,
        )
    }

    /// Leases deliveries to this process from now on.
    pub fn lease_to(&self, lessee: Lessee) {
        // There is one a process.
        let _ = self.lessee.set(lessee);
    }

    pub(super) fn tells(&self) -> Tells<'_> {
        // Whoever stops sending takes nothing more.
        let lessee = self.lessee.get().filter(|_| !self.announced.is_closed());
        Tells {
            ids: &self.ids,
            worker: lessee.map(|lessee| lessee.worker.as_str()),
            lease: lessee.map_or(Duration::ZERO, |lessee| lessee.lease),
            room: lessee.map_or(&|_| 0, |lessee| &lessee.room),
        }
    }

    /// `None`: there is nothing yet, and the sequencer is to look.
    pub(super) fn announce(&self, announced: Option<Announced>, since: Instant) {
        match announced {
            // Where nobody takes it any more, this process ends, and the others find it.
            Some(announced) => drop(self.announced.send((announced, since))),
            None => self.wakeups.events_added(),
        }
    }
}
