//! Waiting until everything that was accepted has ended.

use std::{sync::Arc, time::Duration};

use sqlx::Connection;
use tokio::time::{Instant, sleep};

use super::{consumers::Consumers, stage::Stage};
use crate::db::invariants::{self, Unsettled};

const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How often progress is shown, though nothing changes.
const SHOW_INTERVAL: Duration = Duration::from_secs(10);

/// Waits until nothing is under way, for as long as less and less is: no longer than `patience` without that. Whether it
/// came to an end.
pub async fn settled(
    stage: &Arc<Stage>,
    consumers: &Consumers,
    patience: Duration,
) -> anyhow::Result<bool> {
    let (mut least, mut improved_at) = ((i64::MAX, usize::MAX), Instant::now());
    let mut shown = None::<Instant>;
    loop {
        let (unsettled, behind) = count(stage, consumers).await?;
        let in_flight = stage.upstream.counts().await?.in_flight;
        let spooled = stage.spooled()?.len();
        let over = unsettled.is_nothing() && in_flight == 0 && spooled == 0 && behind == 0;
        if over || shown.is_none_or(|shown| shown.elapsed() >= SHOW_INTERVAL) {
            shown = Some(Instant::now());
            stage.progress.say(&format!(
                "{} of {} jobs have not ended, {} attempts are open, {} slots are held, {in_flight} are at \
                 Gladia, {spooled} callbacks are in spools; {} events have no number, {} deliveries are pending, \
                 {behind} readers are behind",
                unsettled.open_jobs,
                unsettled.jobs,
                unsettled.open_attempts,
                unsettled.held_slots,
                unsettled.unnumbered_events,
                unsettled.pending_deliveries,
            ));
        }
        let left = (unsettled.left(), behind);
        if left < least {
            (least, improved_at) = (left, Instant::now());
        }
        if over || improved_at.elapsed() > patience {
            return Ok(over);
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// What is left, and how many readers have not read everything.
async fn count(stage: &Stage, consumers: &Consumers) -> anyhow::Result<(Unsettled, usize)> {
    let mut conn = stage.connect().await?;
    let unsettled = invariants::count_unsettled(&mut conn).await?;
    let last = invariants::list_last_events(&mut conn).await?;
    conn.close().await?;
    Ok((unsettled, consumers.behind(&last)))
}
