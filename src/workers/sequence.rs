//! The sequencer: what was committed gets its public number and becomes a delivery for everybody who wants it, in one commit.
//!
//! Until then nobody is told of it, so that no reader of the log ever misses a smaller number than one that it has seen.
//! Any replica does this; a row lock lets one at a time. A process that dies before it leaves its events to the others.
//!
//! The same commit leases what it makes to the deliverer of this process, and those who wait here are handed what it has
//! numbered: between the end of a job and those who are told of it stand two commits, and no more.

use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use super::{
    ERROR_PAUSE,
    deliver::{CLAIM_TIMEOUT, Claim, Claimer},
    sweep_interval,
};
use crate::{
    db::{
        deliveries,
        events::{self, Numbered},
        wakeups::Wakeups,
    },
    domain::ids::Ids,
    feed::Handover,
};

/// How many events get their numbers in one commit.
const BATCH: i64 = 500;

/// In how many lanes at most deliveries are claimed by the way: all replicas wait for this commit.
const LANES: usize = 16;

/// Numbers events.
pub struct Sequencer {
    /// The database.
    pub pool: PgPool,
    /// Tells of events, and is told of numbers.
    pub wakeups: Wakeups,
    /// Where the ids of deliveries come from.
    pub ids: Ids,
    /// Sends what is to be delivered.
    pub claimer: Claimer,
    /// Tells those who wait in this process.
    pub handover: Handover,
}

impl Sequencer {
    /// Numbers events until told to stop. A transaction that is cut off is rolled back, and another look finds the same.
    pub async fn run(self, stop: CancellationToken) {
        // What is leased in the last commit is to be sent, so it gets a while.
        let last_moment = async {
            stop.cancelled().await;
            tokio::time::sleep(CLAIM_TIMEOUT).await;
        };
        tokio::pin!(last_moment);
        let (mut is_woken, mut claims) = (false, true);
        while !stop.is_cancelled() {
            let numbered = tokio::select! {
                () = &mut last_moment => return,
                numbered = self.number(is_woken, claims) => numbered,
            };
            // Whatever keeps deliveries from being claimed, events get their numbers.
            claims = numbered.is_ok() || !claims;
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
    async fn number(&self, is_woken: bool, claims: bool) -> sqlx::Result<bool> {
        let mut conn = self.pool.acquire().await?;
        // Whoever only looks by takes no lock for it.
        if !is_woken && !events::is_any_unnumbered(&mut conn).await? {
            return Ok(false);
        }
        let committed = self.number_next(&mut conn, claims).await;
        if committed.is_err() {
            // Where not even its beginning is known to have succeeded, nobody else is to find it.
            conn.close_on_drop();
        }
        drop(conn);
        let Some(Committed {
            numbered,
            made,
            claim,
        }) = committed?
        else {
            return Ok(false);
        };
        let has_more = numbered.has_more;
        let claimed = claim.as_ref().map_or(0, Claim::count);
        if let Some(claim) = claim {
            claim.begin();
        }
        self.wakeups.events_numbered(self.handover.hand(numbered));
        if claimed < made {
            self.wakeups.deliveries_due();
        }
        Ok(has_more)
    }

    async fn number_next(
        &self,
        conn: &mut PgConnection,
        claims: bool,
    ) -> sqlx::Result<Option<Committed>> {
        let mut tx = events::begin_numbering(conn).await?;
        let Some(numbered) = events::number_next(&mut tx, BATCH).await? else {
            tx.rollback().await?;
            return Ok(None);
        };
        let made = deliveries::fan_out(&mut tx, &self.ids, &numbered).await?;
        let claim = if claims && (1..=LANES).contains(&made.lanes.len()) {
            Some(self.claimer.claim(&mut tx, Some(&made.lanes)).await?)
        } else {
            None
        };
        tx.commit().await?;
        Ok(Some(Committed {
            numbered,
            made: made.count,
            claim,
        }))
    }
}

/// What one commit has changed.
struct Committed {
    numbered: Numbered,
    /// How many deliveries it has made.
    made: usize,
    /// Those of them, and others of the same receivers, that are to be sent now.
    claim: Option<Claim>,
}
