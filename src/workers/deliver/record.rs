//! The recorder: outcomes are written down in the order in which they come, as many in one commit as have come meanwhile.

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Deliverer, places::Place};
use crate::{
    db::{
        self,
        deliveries::{self, Next, Outcome, Recorded},
        pool::in_time,
        webhook_endpoints,
    },
    domain::{
        delivery::DeadReason,
        delivery_schedule::LONGEST_WAIT,
        ids::{EndpointId, LaneId},
        webhook_endpoint::DisabledReason,
    },
    workers::ERROR_PAUSE,
};

/// How many outcomes are written in one commit at most.
const BATCH: usize = 200;

/// How many deliveries are given up in one statement at most.
const EXPIRED_BATCH: i64 = 1000;

/// A delivery of which is known what came of it.
pub(super) struct Finished {
    pub(super) outcome: Outcome,
    /// Held until it is written down, so that no more is claimed than can be.
    pub(super) _place: Place,
}

/// Receivers that are gone or fail for days, and lanes in which something has waited too long.
#[derive(Default)]
struct GivenUp {
    endpoints: Vec<(EndpointId, String, DisabledReason)>,
    lanes: Vec<(LaneId, DateTime<Utc>)>,
}

fn receivers_given_up(batch: &[Finished], recorded: &Recorded) -> GivenUp {
    let mut given_up = GivenUp::default();
    for finished in batch {
        let outcome = &finished.outcome;
        let Some((id, url)) = &outcome.endpoint else {
            continue;
        };
        let lane = recorded.lanes.get(&outcome.lane_id);
        if outcome.next == Next::Dead(DeadReason::EndpointGone) && outcome.attempt.is_some() {
            let gone = (*id, url.clone(), DisabledReason::Gone);
            given_up.endpoints.push(gone);
        } else if lane.is_some_and(|lane| lane.is_given_up(recorded.now)) {
            let failing = (*id, url.clone(), DisabledReason::Failing);
            given_up.endpoints.push(failing);
        }
    }
    for (lane_id, lane) in &recorded.lanes {
        if let (Some(_), Some(since), Some(failed_at)) =
            (lane.open_until, lane.failing_since, lane.last_failure_at)
            // What waited because this service stood still, or behind much else, has not waited for its receiver.
            && since <= failed_at - LONGEST_WAIT
        {
            given_up.lanes.push((*lane_id, failed_at));
        }
    }
    given_up
}

impl Deliverer {
    /// Records until no sender is left.
    pub(super) async fn record_all(
        self,
        mut queue: mpsc::UnboundedReceiver<Finished>,
        give_up: CancellationToken,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            match self.record(&batch, false, &give_up).await {
                Err(error) if batch.len() > 1 => {
                    tracing::error!(%error, "Deliveries cannot be recorded together; recording each alone");
                    for one in &batch {
                        self.record_alone(one, &give_up).await;
                    }
                }
                Err(error) => cannot_record(&batch, &error),
                Ok(()) => {}
            }
            // There is room again, in this process and in the lanes.
            let lanes = batch.iter().map(|finished| finished.outcome.lane_id);
            self.0.lanes.note(lanes);
            batch.clear();
            self.0.parts.wakeups.deliveries_due();
        }
    }

    /// What one outcome has that cannot be written must not cost the others.
    async fn record_alone(&self, finished: &Finished, give_up: &CancellationToken) {
        let alone = std::slice::from_ref(finished);
        if let Err(error) = self.record(alone, true, give_up).await {
            cannot_record(alone, &error);
        }
    }

    /// Writes outcomes down, however long the database is away: what has arrived is not to be sent again. A process that ends
    /// before that leaves it to the leases.
    async fn record(
        &self,
        batch: &[Finished],
        mut may_be_recorded: bool,
        give_up: &CancellationToken,
    ) -> sqlx::Result<()> {
        let outcomes: Vec<Outcome> = batch
            .iter()
            .map(|finished| finished.outcome.clone())
            .collect();
        let recorded = loop {
            let recorded = async {
                let mut conn = self.0.parts.pool.acquire().await?;
                let recorded =
                    deliveries::record(&mut conn, &outcomes, rand::random(), may_be_recorded)
                        .await?;
                conn.put_back();
                Ok(recorded)
            };
            match in_time(recorded).await {
                Ok(recorded) => break recorded,
                Err(error) if give_up.is_cancelled() => return Err(error),
                Err(error) if db::is_unavailable(&error) || db::is_conflict(&error) => {
                    tracing::warn!(%error, "Could not record deliveries yet; trying again");
                    may_be_recorded = true;
                    tokio::select! {
                        () = tokio::time::sleep(ERROR_PAUSE) => {}
                        () = give_up.cancelled() => {}
                    }
                }
                Err(error) => return Err(error),
            }
        };
        self.give_up_on(receivers_given_up(batch, &recorded));
        Ok(())
    }

    /// Gives receivers up, beside the recorder: a large backlog takes its time, and what arrives meanwhile is to be written down.
    fn give_up_on(&self, given_up: GivenUp) {
        if given_up.endpoints.is_empty() && given_up.lanes.is_empty() {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let _turn = if given_up.endpoints.is_empty() {
                // The next failure leads here again.
                let Ok(turn) = this.0.giving_up.try_lock() else {
                    return;
                };
                turn
            } else {
                this.0.giving_up.lock().await
            };
            if let Err(error) = this.follow_up(&given_up).await {
                tracing::warn!(%error, "Could not give up a receiver that fails");
            }
        });
    }

    async fn follow_up(&self, given_up: &GivenUp) -> sqlx::Result<()> {
        for (id, url, reason) in &given_up.endpoints {
            self.disable(*id, url, *reason).await?;
        }
        for (lane_id, failed_at) in &given_up.lanes {
            self.expire(*lane_id, *failed_at).await?;
        }
        Ok(())
    }

    async fn disable(&self, id: EndpointId, url: &str, reason: DisabledReason) -> sqlx::Result<()> {
        let mut conn = self.0.parts.pool.acquire().await?;
        let disabling = webhook_endpoints::disable(&mut conn, id, Some(url), reason);
        if !in_time(disabling).await? {
            return Ok(());
        }
        tracing::warn!(endpoint.id = %id, reason = reason.as_str(), "Disabled webhook endpoint {id}: {}", reason.as_str());
        self.0.parts.wakeups.events_added();
        while in_time(deliveries::end_pending(&mut conn, id, reason.dead_reason())).await? {}
        Ok(())
    }

    async fn expire(&self, lane_id: LaneId, failed_at: DateTime<Utc>) -> sqlx::Result<()> {
        let mut conn = self.0.parts.pool.acquire().await?;
        loop {
            let expiring = deliveries::expire(&mut conn, lane_id, failed_at, EXPIRED_BATCH);
            let expired = in_time(expiring).await?;
            if expired > 0 {
                tracing::warn!(lane.id = %lane_id, "Gave up {expired} deliveries whose receiver has been down for too long");
            }
            if i64::try_from(expired).is_ok_and(|expired| expired < EXPIRED_BATCH) {
                return Ok(());
            }
        }
    }
}

/// The lease runs out, and they are sent again.
fn cannot_record(batch: &[Finished], error: &sqlx::Error) {
    for finished in batch {
        let id = finished.outcome.delivery_id;
        tracing::error!(%error, delivery.id = %id, "Could not record delivery {id}; it is sent again");
    }
}
