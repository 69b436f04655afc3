//! The sequencer: what was committed gets its public number and becomes a delivery for everybody who wants it, in one commit.
//!
//! Until then nobody is told of it, so that no reader of the log ever misses a smaller number than one that it has seen.
//! Any replica does this; a row lock lets one at a time. A process that dies before it leaves its events to the others.

use sqlx::{Connection, PgPool};
use tokio_util::sync::CancellationToken;

use super::{ERROR_PAUSE, sweep_interval};
use crate::{
    db::{deliveries, events, wakeups::Wakeups},
    domain::ids::Ids,
};

/// How many events get their numbers in one commit.
const BATCH: i64 = 500;

/// Numbers events.
pub struct Sequencer {
    /// The database.
    pub pool: PgPool,
    /// Tells of events, and is told of numbers.
    pub wakeups: Wakeups,
    /// Where the ids of deliveries come from.
    pub ids: Ids,
}

impl Sequencer {
    /// Numbers events until told to stop. A transaction that is cut off is rolled back, and another look finds the same.
    pub async fn run(self, stop: CancellationToken) {
        let mut is_woken = false;
        loop {
            let numbered = tokio::select! {
                () = stop.cancelled() => return,
                numbered = self.number(is_woken) => numbered,
            };
            let rest = match numbered {
                Ok(true) => {
                    is_woken = true;
                    continue;
                }
                Ok(false) => sweep_interval(),
                Err(error) => {
                    tracing::warn!(%error, "Could not number events; trying again");
                    ERROR_PAUSE
                }
            };
            is_woken = tokio::select! {
                () = stop.cancelled() => return,
                () = self.wakeups.wait_for_events() => true,
                () = tokio::time::sleep(rest) => false,
            };
        }
    }

    /// Numbers a batch. Whether there may be more.
    async fn number(&self, is_woken: bool) -> sqlx::Result<bool> {
        let mut conn = self.pool.acquire().await?;
        // Whoever only looks by takes no lock for it.
        if !is_woken && !events::is_any_unnumbered(&mut conn).await? {
            return Ok(false);
        }
        let mut tx = conn.begin().await?;
        let (numbered, has_more) = events::number_next(&mut tx, BATCH).await?;
        if numbered.is_empty() {
            tx.rollback().await?;
            return Ok(false);
        }
        let made = deliveries::fan_out(&mut tx, &self.ids, &numbered).await?;
        tx.commit().await?;
        self.wakeups.events_numbered();
        if made > 0 {
            self.wakeups.deliveries_due();
        }
        Ok(has_more)
    }
}
