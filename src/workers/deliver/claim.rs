//! From what is due to sends that have begun.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Deliverer,
    pace::LaneTurns,
    places::{Place, Reserved},
    record::Finished,
};
use crate::{
    crash_points::CrashPoint,
    db::{
        deliveries::{self, Claimant, ClaimedDelivery},
        pool::in_time,
    },
    domain::{
        delivery_schedule::LEASE,
        ids::{DeliveryId, LaneId},
    },
};

/// Claims deliveries. Clones are the same.
#[derive(Clone)]
pub struct Claimer {
    deliverer: Deliverer,
    tasks: TaskTracker,
    finished: mpsc::UnboundedSender<Finished>,
    give_up: CancellationToken,
}

/// When a claim was made, on this process's own clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimed {
    /// Not after the lease began.
    pub(super) before: Instant,
    /// When the database had answered.
    pub(super) after: Instant,
}

/// What was claimed, to be sent once that is committed. Dropped, it is due again when the lease has run out.
#[must_use]
pub struct Claim {
    claimer: Claimer,
    deliveries: Vec<ClaimedDelivery>,
    /// Of the lanes that were fast when they were claimed.
    turns: HashMap<LaneId, LaneTurns>,
    at: Claimed,
    /// `None`: there was no room.
    reserved: Option<Reserved>,
}

impl Claimer {
    /// Makes one, and the queue of its outcomes.
    pub(super) fn new(
        deliverer: Deliverer,
        tasks: TaskTracker,
        give_up: CancellationToken,
    ) -> (Self, mpsc::UnboundedReceiver<Finished>) {
        let (finished, queue) = mpsc::unbounded_channel();
        let claimer = Self {
            deliverer,
            tasks,
            finished,
            give_up,
        };
        (claimer, queue)
    }

    /// Leases what is due, as far as there is room: in these lanes. The caller owns the transaction.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn claim(&self, conn: &mut PgConnection, lanes: &[LaneId]) -> sqlx::Result<Claim> {
        let inner = &self.deliverer.0;
        let reserved = inner.places.reserve();
        let before = Instant::now();
        let (lanes, turns) = inner.pace.ahead(lanes);
        let deliveries = match &reserved {
            Some(reserved) if !lanes.is_empty() => {
                let claimant = Claimant {
                    worker: &inner.parts.worker,
                    lease: LEASE,
                    room: &reserved.room(),
                    lanes: &lanes,
                };
                deliveries::claim(conn, &claimant).await?
            }
            _ => Vec::new(),
        };
        Ok(Claim {
            claimer: self.clone(),
            deliveries,
            turns,
            at: Claimed {
                before,
                after: Instant::now(),
            },
            reserved,
        })
    }
}

impl Claimer {
    /// Begins to send what was leased with the commit that made it, `since` this instant or a later one. What cannot be read is
    /// due again when its lease has run out.
    pub fn begin_leased(&self, ids: Vec<DeliveryId>, since: Instant) {
        CrashPoint::DeliverClaimed.reach();
        let at = Claimed {
            before: since,
            after: Instant::now(),
        };
        let claimer = self.clone();
        self.tasks.spawn(async move {
            let inner = &claimer.deliverer.0;
            let loading = async {
                let mut conn = inner.parts.pool.acquire().await?;
                let loaded = deliveries::load(&mut conn, &ids, &inner.parts.worker, LEASE).await?;
                conn.put_back();
                Ok(loaded)
            };
            let loaded: sqlx::Result<_> = in_time(loading).await;
            match loaded {
                Ok(loaded) => {
                    for delivery in loaded {
                        let Some(place) = inner.places.take_next(delivery.tenant_id).await else {
                            return;
                        };
                        let turns = inner.pace.turns(delivery.lane_id);
                        claimer.begin(delivery, at, turns, place);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "Could not read what is to be delivered; it is due again in a while");
                }
            }
        });
    }

    fn begin(
        &self,
        delivery: ClaimedDelivery,
        at: Claimed,
        turns: Option<LaneTurns>,
        mut place: Place,
    ) {
        let claimer = self.clone();
        self.tasks.spawn(async move {
            let Self {
                deliverer,
                finished,
                give_up,
                ..
            } = claimer;
            let outcome = deliverer
                .deliver_in_turn(delivery, at, turns, &mut place, &give_up)
                .await;
            // The recorder outlives every sender.
            let _ = finished.send(Finished {
                outcome,
                _place: place,
            });
        });
    }

    /// Says that something waits in lanes, for the next claim.
    pub fn note(&self, lanes: &[LaneId]) {
        self.deliverer.0.lanes.note(lanes.iter().copied());
        self.deliverer.0.parts.wakeups.deliveries_due();
    }
}

impl Claim {
    /// Which deliveries.
    #[must_use]
    pub fn ids(&self) -> HashSet<DeliveryId> {
        self.deliveries.iter().map(|delivery| delivery.id).collect()
    }

    /// Whether it took all that there was room for, so that there may be more.
    pub(super) fn is_full(&self) -> bool {
        let reserved = self.reserved.as_ref();
        reserved.is_none_or(|reserved| reserved.room().places <= self.deliveries.len())
    }

    /// Begins to send.
    pub fn begin(self) {
        let Self {
            claimer,
            deliveries,
            turns,
            at,
            reserved,
        } = self;
        let Some(mut reserved) = reserved.filter(|_| !deliveries.is_empty()) else {
            return;
        };
        CrashPoint::DeliverClaimed.reach();
        for delivery in deliveries {
            let place = reserved.take(delivery.tenant_id, delivery.is_unproven);
            let turns = turns.get(&delivery.lane_id).cloned();
            claimer.begin(delivery, at, turns, place);
        }
    }
}
