//! The deliverer: what is due is sent to its receiver, signed, and what came of it is written down.
//!
//! Lease, send, record. [`db::deliveries::claim`] leases what is due in one statement, with everything that it takes to send it
//! ([`send`], [`body`]); outcomes go to one recorder ([`record`]), which writes what has come in one commit. Whatever happens to
//! this process in between, the lease runs out and another one sends again, with the same `webhook-id`: at least once.
//!
//! Receivers that hang or fail delay nobody else. Each lane has a few places at most, a lane that fails fewer, and all that
//! fail together half ([`places`]); a send that takes long moves to places of its own.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::{
    sync::{Mutex, mpsc},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{places::Places, record::Finished, results::Results};
use super::{ERROR_PAUSE, sweep_interval};
use crate::{
    crash_points::CrashPoint,
    db::{
        deliveries::{self, Claimant},
        wakeups::Wakeups,
    },
    domain::{ids::Ids, links::Links},
    notify::{client::Notifier, sealing::Sealer},
};

mod body;
mod places;
mod record;
mod results;
mod send;

/// How long a claim holds. A send and what comes before it take far less.
const LEASE: Duration = Duration::from_secs(45);

/// A claim that takes longer has lost its way to the database. What it has leased all the same is due again after the lease.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(15);

/// Sends deliveries. Clones are the same.
#[derive(Clone)]
pub struct Deliverer(Arc<Inner>);

/// What a deliverer works with.
pub struct Parts {
    /// The database.
    pub pool: PgPool,
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
    places: Places,
    results: Results,
    /// One receiver at a time is given up.
    giving_up: Mutex<()>,
}

/// When a claim was made, on this process's own clock.
#[derive(Debug, Clone, Copy)]
struct Claimed {
    /// Not after the lease began.
    before: Instant,
    /// When the database had answered.
    after: Instant,
}

impl Deliverer {
    /// Makes one.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            parts,
            places: Places::new(),
            results: Results::new(),
            giving_up: Mutex::default(),
        }))
    }

    /// Claims and sends until told to stop. Sends under way run on in `tasks`, and so does the recorder; `give_up` ends them.
    pub async fn run(
        self,
        tasks: TaskTracker,
        stop: CancellationToken,
        give_up: CancellationToken,
    ) {
        let (finished, queue) = mpsc::unbounded_channel();
        tasks.spawn(self.clone().record_all(queue, give_up.clone()));
        while !stop.is_cancelled() {
            let rest = match self.claim(&tasks, &finished, &give_up).await {
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

    /// Claims what is due, as far as there is room, and begins to send it. Whatever makes room wakes the next claim.
    async fn claim(
        &self,
        tasks: &TaskTracker,
        finished: &mpsc::UnboundedSender<Finished>,
        give_up: &CancellationToken,
    ) -> sqlx::Result<()> {
        let (room, unproven_room) = self.0.places.room();
        if room == 0 {
            return Ok(());
        }
        let claimant = Claimant {
            worker: &self.0.parts.worker,
            lease: LEASE,
            room,
            unproven_room,
        };
        let before = Instant::now();
        let mut conn = self.0.parts.pool.acquire().await?;
        let claim =
            tokio::time::timeout(CLAIM_TIMEOUT, deliveries::claim(&mut conn, &claimant)).await;
        let claimed = claim.map_err(|_| sqlx::Error::PoolTimedOut)??;
        drop(conn);
        if claimed.is_empty() {
            return Ok(());
        }
        CrashPoint::DeliverClaimed.reach();
        let at = Claimed {
            before,
            after: Instant::now(),
        };
        for delivery in claimed {
            let mut place = self.0.places.take(delivery.is_unproven);
            let (this, finished, give_up) = (self.clone(), finished.clone(), give_up.clone());
            tasks.spawn(async move {
                let endpoint = delivery.endpoint();
                let outcome = this.deliver(delivery, at, &mut place, &give_up).await;
                // The recorder outlives every sender.
                let _ = finished.send(Finished {
                    outcome,
                    endpoint,
                    _place: place,
                });
            });
        }
        Ok(())
    }
}
