//! The recorder: outcomes are written down in the order in which they come, as many in one commit as have come meanwhile.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Deliverer, places::Place};
use crate::{
    db::{
        self,
        deliveries::{self, Next, Outcome, Recorded},
        webhook_endpoints,
    },
    domain::{
        delivery::DeadReason,
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
    pub(super) endpoint_id: Option<EndpointId>,
    /// Held until it is written down, so that no more is claimed than can be.
    pub(super) _place: Place,
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
            match self.record(&batch, &give_up).await {
                Err(error) if batch.len() > 1 => {
                    tracing::error!(%error, "Deliveries cannot be recorded together; recording each alone");
                    for one in &batch {
                        self.record_alone(one, &give_up).await;
                    }
                }
                Err(error) => cannot_record(&batch, &error),
                Ok(()) => {}
            }
            batch.clear();
            // There is room again, in this process and in the lanes.
            self.0.parts.wakeups.deliveries_due();
        }
    }

    /// What one outcome has that cannot be written must not cost the others.
    async fn record_alone(&self, finished: &Finished, give_up: &CancellationToken) {
        let alone = std::slice::from_ref(finished);
        if let Err(error) = self.record(alone, give_up).await {
            cannot_record(alone, &error);
        }
    }

    /// Writes outcomes down, however long the database is away: what has arrived is not to be sent again. A process that ends
    /// before that leaves it to the leases.
    async fn record(&self, batch: &[Finished], give_up: &CancellationToken) -> sqlx::Result<()> {
        let outcomes: Vec<Outcome> = batch
            .iter()
            .map(|finished| finished.outcome.clone())
            .collect();
        let recorded = loop {
            let recorded = async {
                let mut conn = self.0.parts.pool.acquire().await?;
                deliveries::record(&mut conn, &outcomes, rand::random()).await
            };
            match recorded.await {
                Ok(recorded) => break recorded,
                Err(error) if give_up.is_cancelled() => return Err(error),
                Err(error) if db::is_unavailable(&error) || db::is_conflict(&error) => {
                    tracing::warn!(%error, "Could not record deliveries yet; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(ERROR_PAUSE) => {}
                        () = give_up.cancelled() => {}
                    }
                }
                Err(error) => return Err(error),
            }
        };
        if let Err(error) = self.follow_up(batch, &recorded).await {
            // The next failure leads here again.
            tracing::warn!(%error, "Could not give up a receiver that fails");
        }
        Ok(())
    }

    /// Gives up receivers that are gone or fail for days, and what has waited too long at one that fails.
    async fn follow_up(&self, batch: &[Finished], recorded: &Recorded) -> sqlx::Result<()> {
        for finished in batch {
            let Some(endpoint_id) = finished.endpoint_id else {
                continue;
            };
            let outcome = &finished.outcome;
            let is_gone =
                outcome.next == Next::Dead(DeadReason::EndpointGone) && outcome.attempt.is_some();
            if is_gone {
                self.disable(endpoint_id, DisabledReason::Gone).await?;
            } else if recorded
                .lanes
                .get(&outcome.lane_id)
                .is_some_and(|lane| lane.is_given_up(recorded.now))
            {
                self.disable(endpoint_id, DisabledReason::Failing).await?;
            }
        }
        for (lane_id, lane) in &recorded.lanes {
            if let (Some(_), Some(failed_at)) = (lane.open_until, lane.last_failure_at) {
                self.expire(*lane_id, failed_at).await?;
            }
        }
        Ok(())
    }

    async fn disable(&self, id: EndpointId, reason: DisabledReason) -> sqlx::Result<()> {
        let mut conn = self.0.parts.pool.acquire().await?;
        if !webhook_endpoints::disable(&mut conn, id, reason).await? {
            return Ok(());
        }
        tracing::warn!(endpoint.id = %id, reason = reason.as_str(), "Disabled webhook endpoint {id}: {}", reason.as_str());
        self.0.parts.wakeups.events_added();
        while deliveries::end_pending(&mut conn, id, reason.dead_reason()).await? {}
        Ok(())
    }

    async fn expire(
        &self,
        lane_id: LaneId,
        failed_at: chrono::DateTime<chrono::Utc>,
    ) -> sqlx::Result<()> {
        let mut conn = self.0.parts.pool.acquire().await?;
        loop {
            let expired = deliveries::expire(&mut conn, lane_id, failed_at, EXPIRED_BATCH).await?;
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
