//! The deliverer: what is due is sent to its receiver, signed, and what came of it is written down.
//!
//! Lease, send, record. [`claim`] leases what is due in one statement, with everything that it takes to send it: in the commit
//! that makes a delivery ([`super::sequence`]), or here, where it has waited. It is sent ([`send`], [`body`]); outcomes go to
//! one recorder ([`record`]), which writes what has come in one commit. Whatever happens to
//! this process in between, the lease runs out and another one sends again, with the same `webhook-id`: at least once.
//!
//! Receivers that hang or fail delay nobody else. Each lane has a few places at most, a lane that fails fewer, and all that
//! fail together half ([`places`]); a send that takes long moves to places of its own.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::claim::{Claim, Claimer};
use self::{places::Places, results::Results};
use super::{ERROR_PAUSE, sweep_interval};
use crate::{
    db::wakeups::Wakeups,
    domain::{ids::Ids, links::Links},
    notify::{client::Notifier, sealing::Sealer},
};

mod body;
mod claim;
mod places;
mod record;
mod results;
mod send;

/// How long a claim holds. A send and what comes before it take far less.
const LEASE: Duration = Duration::from_secs(45);

/// A claim that takes longer has lost its way to the database. What it has leased all the same is due again after the lease.
pub(super) const CLAIM_TIMEOUT: Duration = Duration::from_secs(15);

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

    /// What claims for it, and begins to send. Sends run on in `tasks`, and so does the recorder, for as long as there is one of
    /// these; `give_up` ends them.
    #[must_use]
    pub fn claimer(&self, tasks: TaskTracker, give_up: CancellationToken) -> Claimer {
        Claimer::new(self.clone(), tasks, give_up)
    }

    /// Claims what is due and sends it, until told to stop.
    pub async fn run(self, claimer: Claimer, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let rest = match self.claim(&claimer).await {
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
    async fn claim(&self, claimer: &Claimer) -> sqlx::Result<()> {
        let mut conn = self.0.parts.pool.acquire().await?;
        let claim = tokio::time::timeout(CLAIM_TIMEOUT, claimer.claim(&mut conn, None)).await;
        let claim = claim.map_err(|_| sqlx::Error::PoolTimedOut)??;
        drop(conn);
        claim.begin();
        Ok(())
    }
}
