//! The sequencer: what was committed gets its public number and becomes a delivery for everybody who wants it, in one commit.
//!
//! Until then nobody is told of it, so that no reader of the log ever misses a smaller number than one that it has seen.
//! Any replica does this; a row lock lets one at a time. A process that dies before it leaves its events to the others.
//!
//! The same commit leases what it makes to the deliverer of this process, and those who wait here are handed what it has
//! numbered: between the end of a job and those who are told of it stand two commits, and no more.
//!
//! No tenant's flood keeps the others waiting: see [`crowd`].

mod crowd;

use std::io;

use sqlx::{Connection, PgConnection};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::crowd::{Crowd, next_batch};
use super::{
    ERROR_PAUSE,
    deliver::{Claim, Claimer},
    sweep_interval,
};
use crate::{
    db::{
        self,
        deliveries::{self, FannedOut},
        events::{self, Numbered},
        pool::{Loan, Pool, STEP_TIMEOUT, in_time},
        wakeups::Wakeups,
    },
    domain::ids::{Ids, TenantId},
    feed::Handover,
};

/// How many events get their numbers in one commit at most.
const BATCH: i64 = 500;

/// In how many lanes at most deliveries are claimed by the way: all replicas wait for this commit.
const LANES: usize = 16;

/// How events are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mode {
    /// How many more events are numbered one at a time, since of several one made trouble.
    alone: i64,
    /// Whether deliveries are claimed by the way.
    claims: bool,
}

/// What is to be numbered next.
#[derive(Debug)]
struct Line {
    crowd: Crowd,
    /// How many events at once.
    batch: i64,
}

/// Numbers events.
pub struct Sequencer {
    /// The database.
    pub pool: Pool,
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
            tokio::time::sleep(STEP_TIMEOUT).await;
        };
        tokio::pin!(last_moment);
        let mut is_woken = false;
        let mut line = Line {
            crowd: Crowd::default(),
            batch: BATCH,
        };
        let mut mode = Mode {
            alone: 0,
            claims: true,
        };
        while !stop.is_cancelled() {
            let numbered = tokio::select! {
                () = &mut last_moment => return,
                numbered = in_time(self.number(is_woken, mode, &mut line)) => numbered,
            };
            mode = mode.after(&numbered);
            let rest = match numbered {
                Ok(true) => {
                    is_woken = true;
                    continue;
                }
                Ok(false) => sweep_interval(),
                Err(error) => {
                    tracing::warn!(%error, one_by_one = mode.alone > 0, "Could not number events; trying again");
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

    /// Numbers a batch, and where a crowd is at it, one of the others' before. Whether there may be more.
    async fn number(&self, is_woken: bool, mode: Mode, line: &mut Line) -> sqlx::Result<bool> {
        let mut conn = self.pool.acquire().await?;
        // Whoever only looks by takes no lock for it.
        if !is_woken && !events::is_any_unnumbered(&mut conn).await? {
            conn.put_back();
            return Ok(false);
        }
        if mode.alone > 0 {
            let one = self.number_batch(conn, mode, &[], 1).await?;
            return Ok(one.is_some());
        }
        let began = Instant::now();
        if let Some(crowd) = line.crowd.passed_over(began) {
            let others = self.number_batch(conn, mode, crowd, line.batch).await?;
            let full = others.as_ref().filter(|others| others.is_full);
            let tenant_ids = full.map(|full| &*full.tenant_ids);
            line.crowd.note_others(tenant_ids, began.elapsed());
            if let Some(others) = &others {
                line.batch = next_batch(line.batch, others.tenant_ids.len(), others.deliveries);
            }
            conn = self.pool.acquire().await?;
        }
        let first = self.number_batch(conn, mode, &[], line.batch).await?;
        let full = first.as_ref().filter(|first| first.is_full);
        line.crowd.note_first(full.map(|full| &*full.tenant_ids));
        if let Some(first) = &first {
            line.batch = next_batch(BATCH, first.tenant_ids.len(), first.deliveries);
        }
        Ok(full.is_some())
    }

    /// Numbers what came first, `limit` events at most and none of some tenants'. `None`: there are none.
    async fn number_batch(
        &self,
        mut conn: Loan,
        mode: Mode,
        passed_over: &[TenantId],
        limit: i64,
    ) -> sqlx::Result<Option<Batch>> {
        let committed = self.number_next(&mut conn, mode, passed_over, limit).await;
        if committed.is_ok() {
            conn.put_back();
        } else {
            // Where not even its beginning is known to have succeeded, nobody else is to find it.
            conn.close_on_drop();
        }
        let Some(Committed {
            numbered,
            made,
            claim,
        }) = committed?
        else {
            return Ok(None);
        };
        let leased = claim.as_ref().map(Claim::ids).unwrap_or_default();
        if let Some(claim) = claim {
            claim.begin();
        }
        let batch = Batch {
            tenant_ids: numbered
                .events
                .iter()
                .map(|event| event.tenant_id)
                .collect(),
            is_full: numbered.has_more,
            deliveries: made.deliveries.len(),
        };
        self.wakeups.events_numbered(self.handover.hand(numbered));
        // A claim takes what is due first in a lane, which may be older.
        let lanes = made.lanes_without(&leased);
        if !lanes.is_empty() {
            self.claimer.note(&lanes);
        }
        Ok(Some(batch))
    }

    async fn number_next(
        &self,
        conn: &mut PgConnection,
        mode: Mode,
        passed_over: &[TenantId],
        limit: i64,
    ) -> sqlx::Result<Option<Committed>> {
        let mut tx = events::begin_numbering(conn).await?;
        let Some(numbered) = events::number_next(&mut tx, passed_over, limit).await? else {
            tx.rollback().await?;
            return Ok(None);
        };
        let fanned_out = if mode.alone > 0 {
            self.fan_out_alone(&mut tx, &numbered).await?
        } else {
            deliveries::fan_out(&mut tx, &self.ids, &numbered).await?
        };
        let lanes = fanned_out.lanes();
        let claim = if mode.claims && (1..=LANES).contains(&lanes.len()) {
            Some(self.claimer.claim(&mut tx, &lanes).await?)
        } else {
            None
        };
        tx.commit().await?;
        Ok(Some(Committed {
            numbered,
            made: fanned_out,
            claim,
        }))
    }

    /// Makes the deliveries of one event. One of which none can be made is set aside, so that nobody else waits for it: it has
    /// its number, and is in streams and in the change list.
    async fn fan_out_alone(
        &self,
        conn: &mut PgConnection,
        numbered: &Numbered,
    ) -> sqlx::Result<FannedOut> {
        let mut part = conn.begin().await?;
        match deliveries::fan_out(&mut part, &self.ids, numbered).await {
            Ok(made) => {
                part.commit().await?;
                Ok(made)
            }
            Err(error) if is_passing(&error) => Err(error),
            Err(error) => {
                part.rollback().await?;
                tracing::error!(%error, event.id = %numbered.through, "No deliveries can be made of an event; it is set aside");
                metrics::counter!("gateway_events_set_aside_total").increment(1);
                Ok(FannedOut::default())
            }
        }
    }
}

impl Mode {
    /// Whatever keeps deliveries from being claimed or made, events get their numbers.
    fn after(self, numbered: &sqlx::Result<bool>) -> Self {
        match numbered {
            Ok(_) => Self {
                alone: (self.alone - 1).max(0),
                claims: true,
            },
            // Together they may take too long each time, and one does not.
            Err(error) if is_given_up(error) => Self {
                alone: BATCH,
                claims: false,
            },
            Err(error) if is_passing(error) || self.claims => Self {
                claims: !self.claims,
                ..self
            },
            Err(_) => Self {
                alone: BATCH,
                claims: false,
            },
        }
    }
}

/// Whether it took longer than a step may.
fn is_given_up(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// Whether the same may go well the next time.
fn is_passing(error: &sqlx::Error) -> bool {
    db::is_unavailable(error) || db::is_conflict(error)
}

/// What was numbered.
struct Batch {
    /// Whose each of its events is.
    tenant_ids: Vec<TenantId>,
    /// Whether there may be more.
    is_full: bool,
    /// How many deliveries were made of it.
    deliveries: usize,
}

/// What one commit has changed.
struct Committed {
    numbered: Numbered,
    /// The deliveries that it has made.
    made: FannedOut,
    /// Those of them, and others of the same receivers, that are to be sent now.
    claim: Option<Claim>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_together_is_numbered_one_at_a_time() {
        let together = Mode {
            alone: 0,
            claims: true,
        };
        let given_up = Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
        let mut mode = together.after(&given_up);
        assert_eq!((mode.alone, mode.claims), (BATCH, false));
        for _ in 0..BATCH {
            mode = mode.after(&Ok(true));
        }
        assert_eq!(mode, together);
    }
}
