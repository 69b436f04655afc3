//! The end of the event log's retention: old events are deleted, and deliveries that were through long ago.
//!
//! A tenant's horizon (`event_horizons`) is moved with the same commit, so a reader whose cursor is behind it is told that it
//! has missed something. Events of a job that has not ended, or ended lately, stay however old they are; a job that is older
//! than that loses all of them together, and its timeline then tells its beginning and its end as its rows have them. What
//! somebody has still to be told of stays, too, with all that happened to its job afterwards.
//! The lane of a host that nobody has been called at for that long goes with its deliveries.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{ERROR_PAUSE, sweep_interval};
use crate::db::{
    clock::{self, Kept},
    deliveries,
    events::{self, EventPosition},
    pool::{Pool, in_time},
};

/// How many rows are looked at in one go.
const BATCH: i64 = 500;

/// How many lanes are deleted in one go.
const LANES: usize = 500;

/// How often events are looked at again that were old and had to stay, and lanes, of which few are ever idle.
const SECOND_LOOK_INTERVAL: Duration = Duration::from_mins(10);

/// Deletes what is older than the retention of events.
#[derive(Debug, Clone)]
pub struct Forgetter {
    /// The database.
    pub pool: Pool,
    /// How long an event is kept, and a delivery after its end.
    pub keeps_for: Duration,
    /// The process's own clock: both have to say that the time has come ([`clock::kept`]).
    pub process_now: fn() -> DateTime<Utc>,
}

impl Forgetter {
    /// Looks until told to stop. A statement that is cut off changes nothing, and another look finds the same.
    pub async fn run(self, stop: CancellationToken) {
        let mut looked_through = EventPosition::default();
        let mut second_look_at = Instant::now();
        loop {
            if Instant::now() >= second_look_at {
                looked_through = EventPosition::default();
                second_look_at = Instant::now() + SECOND_LOOK_INTERVAL;
                let forgotten = tokio::select! {
                    () = stop.cancelled() => return,
                    forgotten = self.forget_lanes() => forgotten,
                };
                if let Err(error) = forgotten {
                    tracing::warn!(%error, "Could not delete idle lanes; trying again later");
                }
            }
            let swept = tokio::select! {
                () = stop.cancelled() => return,
                swept = self.sweep(&mut looked_through) => swept,
            };
            let rest = match swept {
                Ok(()) => sweep_interval(),
                Err(error) => {
                    tracing::warn!(%error, "Could not delete old events; trying again");
                    ERROR_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Deletes the lanes of hosts that nobody has been called at for long.
    async fn forget_lanes(&self) -> sqlx::Result<()> {
        let mut conn = self.pool.acquire().await?;
        let kept = self.kept(&mut conn).await?;
        while in_time(deliveries::forget_lanes(&mut conn, kept, LANES)).await? == LANES {}
        Ok(())
    }

    /// Deletes what is due behind a position of the log, a batch a statement.
    async fn sweep(&self, looked_through: &mut EventPosition) -> sqlx::Result<()> {
        // First the deliveries: they keep their events.
        loop {
            let mut conn = self.pool.acquire().await?;
            let kept = self.kept(&mut conn).await?;
            let forgotten = deliveries::forget(&mut conn, kept, BATCH);
            let deleted = in_time(forgotten).await?;
            metrics::counter!("gateway_deliveries_forgotten_total").increment(deleted);
            if deleted == 0 {
                break;
            }
        }
        loop {
            let mut conn = self.pool.acquire().await?;
            let kept = self.kept(&mut conn).await?;
            let forgotten = events::forget(&mut conn, *looked_through, kept, BATCH);
            let forgotten = in_time(forgotten).await?;
            let deleted = u64::try_from(forgotten.deleted).unwrap_or_default();
            metrics::counter!("gateway_events_forgotten_total").increment(deleted);
            *looked_through = forgotten.looked_through;
            if !forgotten.has_more {
                return Ok(());
            }
        }
    }

    async fn kept(&self, conn: &mut PgConnection) -> sqlx::Result<Kept> {
        in_time(clock::kept(conn, self.keeps_for, self.process_now)).await
    }
}
