//! Handing on what a callback's own commit has told the log, so that those who wait need no other look.
//!
//! The commit numbers the event, makes its deliveries and leases them to this process, as the sequencer would
//! ([`crate::db::callbacks::called_back::Tells`]). Who is told then is for others to know: they say so once they have begun, and until
//! then everything is left to the sequencer.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    db::{
        callbacks::called_back::{Announced, Tells},
        wakeups::Wakeups,
    },
    domain::ids::{Ids, TenantId},
};

/// Hands on. Clones are the same.
#[derive(Debug, Clone)]
pub struct Announcer {
    ids: Ids,
    wakeups: Wakeups,
    lessee: Arc<OnceLock<Lessee>>,
}

/// Who tells others in this process, and sends deliveries.
pub struct Lessee {
    /// The name of the process.
    pub worker: String,
    /// How long deliveries are leased.
    pub lease: Duration,
    /// How many more of a tenant's can be sent now.
    pub room: Box<dyn Fn(TenantId) -> usize + Send + Sync>,
    /// Hands on what was committed, with an instant not after its lease began. Callers wait for it, so it waits for nobody.
    pub hand_on: Box<dyn Fn(Announced, Instant) + Send + Sync>,
    /// From then on it takes nothing more, and hands on what was under way.
    pub stop: CancellationToken,
}

impl fmt::Debug for Lessee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lessee")
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}

impl Announcer {
    /// Makes one, with where ids of deliveries come from.
    #[must_use]
    pub fn new(ids: Ids, wakeups: Wakeups) -> Self {
        Self {
            ids,
            wakeups,
            lessee: Arc::default(),
        }
    }

    /// Leases deliveries to this process from now on, and hands on what is announced.
    pub fn lease_to(&self, lessee: Lessee) {
        // There is one a process.
        let _ = self.lessee.set(lessee);
    }

    /// `None`: nobody would hand on what was told.
    pub(super) fn tells(&self) -> Option<Tells<'_>> {
        let lessee = self.lessee.get()?;
        let takes_more = !lessee.stop.is_cancelled();
        Some(Tells {
            ids: &self.ids,
            worker: takes_more.then_some(lessee.worker.as_str()),
            lease: lessee.lease,
            room: &lessee.room,
        })
    }

    /// `None`: there is nothing yet, and the sequencer is to look.
    pub(super) fn announce(&self, announced: Option<Announced>, since: Instant) {
        match (announced, self.lessee.get()) {
            (Some(announced), Some(lessee)) => (lessee.hand_on)(announced, since),
            _ => self.wakeups.events_added(),
        }
    }
}
