//! The deliverer: what is due is sent to its receiver, signed, and what came of it is written down.
//!
//! Lease, send, record. [`claim`] leases what is due in one statement, with everything that it takes to send it: in the commit
//! that makes a delivery ([`super::sequence`]), or here, where it has waited. What is made with the callback that it tells of
//! is leased by the same statement, if nothing waits before it ([`super::announced`]). It is sent ([`send`], [`body`]); outcomes go to
//! one recorder ([`record`]), which writes what has come in one commit. Whatever happens to
//! this process in between, the lease runs out and another one sends again, with the same `webhook-id`: at least once.
//!
//! Receivers that hang or fail delay nobody else. Each lane has a few places at most, a lane that fails fewer, and all that
//! fail together half, and no tenant can have all of them ([`places`]); a send that takes long moves to places of its own. Of
//! a receiver that answers at once more is leased, to be sent in turns ([`pace`]).

use std::sync::Arc;

use tokio::{sync::Mutex, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    claim::{Claim, Claimer},
    places::MOST_CONNECTIONS,
    report::{Kind, Reported},
};
use self::{lanes::Lanes, pace::Pace, places::Places, results::Results};
use super::{ERROR_PAUSE, sweep_interval};
use crate::{
    db::{
        callbacks::called_back::Announced,
        pool::{Pool, in_time},
        wakeups::Wakeups,
    },
    domain::{delivery_schedule::LEASE, ids::Ids, links::Links},
    journal::announce::Lessee,
    notify::{client::Notifier, sealing::Sealer},
};

mod body;
mod claim;
mod lanes;
mod outcome;
mod pace;
mod places;
mod record;
mod report;
mod results;
mod send;

/// Sends deliveries. Clones are the same.
#[derive(Clone)]
pub struct Deliverer(Arc<Inner>);

/// What a deliverer works with.
pub struct Parts {
    /// The database.
    pub pool: Pool,
    /// Sends.
    pub notifier: Notifier,
    /// Opens signing secrets.
    pub sealer: Sealer,
    /// Tells of deliveries.
    pub wakeups: Wakeups,
    /// Where the ids of secrets come from.
    pub ids: Ids,
    /// Where receivers find what they are told of.
    pub links: Links,
    /// The name of this process.
    pub worker: String,
}

struct Inner {
    parts: Parts,
    lanes: Lanes,
    pace: Pace,
    places: Places,
    results: Results,
    /// One receiver at a time is given up.
    giving_up: Mutex<()>,
}

impl Deliverer {
    /// Makes one.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            parts,
            lanes: Lanes::default(),
            pace: Pace::default(),
            places: Places::new(),
            results: Results::new(),
            giving_up: Mutex::default(),
        }))
    }

    /// What claims for it, and begins to send; and the recorder, to be run beside it, which ends once there are no more of those.
    /// Sends run on in `tasks`; `give_up` ends them.
    pub fn claimer(
        &self,
        tasks: TaskTracker,
        give_up: CancellationToken,
    ) -> (Claimer, impl Future<Output = ()> + Send + use<>) {
        let (claimer, queue) = Claimer::new(self.clone(), tasks, give_up.clone());
        (claimer, self.clone().record_all(queue, give_up))
    }

    /// As those see it who make deliveries and lease them at once, until told to stop. They hand on what they have made.
    #[must_use]
    pub fn lessee(
        &self,
        hand_on: impl Fn(Announced, Instant) + Send + Sync + 'static,
        stop: CancellationToken,
    ) -> Lessee {
        let deliverer = self.clone();
        Lessee {
            worker: self.0.parts.worker.clone(),
            lease: LEASE,
            room: Box::new(move |tenant_id| deliverer.0.places.room_for(tenant_id)),
            hand_on: Box::new(hand_on),
            stop,
        }
    }

    /// Claims what is due and sends it, until told to stop.
    pub async fn run(self, claimer: Claimer, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let rest = match self.claim(&claimer).await {
                Ok(()) if self.0.lanes.are_many() => lanes::PAUSE,
                Ok(()) => sweep_interval(),
                Err(error) => {
                    tracing::warn!(%error, "Could not claim deliveries; trying again");
                    ERROR_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.parts.wakeups.wait_for_deliveries() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Claims what is due, as far as there is room, and begins to send it. Whatever makes room wakes the next claim. What a claim
    /// that was given up has leased all the same is due again after the lease.
    async fn claim(&self, claimer: &Claimer) -> sqlx::Result<()> {
        if self.0.places.are_taken() {
            return Ok(());
        }
        let mut conn = self.0.parts.pool.acquire().await?;
        let mut lanes = Vec::new();
        let claiming = async {
            lanes = self.0.lanes.find(&mut conn).await?;
            claimer.claim(&mut conn, &lanes).await
        };
        let claim = in_time(claiming).await;
        // Also where it was given up.
        if claim.as_ref().map_or(true, Claim::is_full) {
            self.0.lanes.note(lanes);
        }
        let claim = claim?;
        conn.put_back();
        claim.begin();
        Ok(())
    }
}
