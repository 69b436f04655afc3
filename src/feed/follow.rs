//! The one reader of the log in this process.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{Feed, Told};
use crate::{
    db::{events, wakeups::Wakeups},
    domain::{
        event::{Event, EventId},
        links::Links,
    },
};

/// How many events are read at once.
const BATCH: i64 = 500;

/// How long until the next look when nothing wakes it, since a wake-up may be lost.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Follows the log for the feed.
pub struct Follower {
    /// The database.
    pub pool: PgPool,
    /// Tells of events that have got their numbers.
    pub wakeups: Wakeups,
    /// To whom they are handed.
    pub feed: Feed,
    /// Where callers find what they are told of.
    pub links: Links,
}

impl Follower {
    /// Follows until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut seen = None;
        loop {
            let read = tokio::select! {
                () = stop.cancelled() => return,
                read = self.read_on(&mut seen) => read,
            };
            match read {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "Could not read the event log; trying again");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wakeups.wait_for_numbered() => {}
                () = tokio::time::sleep(SWEEP_INTERVAL) => {}
            }
        }
    }

    /// Hands on what is new. Whether there may be more.
    async fn read_on(&self, seen: &mut Option<EventId>) -> sqlx::Result<bool> {
        let mut conn = self.pool.acquire().await?;
        let Some(after) = *seen else {
            *seen = Some(events::last_id(&mut conn).await?);
            // Whoever has subscribed by now may have read the database before this look, and events may lie between.
            self.feed.publish_gap();
            return Ok(true);
        };
        if self.feed.is_idle() {
            let last = events::last_id(&mut conn).await?;
            // Whoever subscribes after this look reads the database later than it, and finds these events there.
            if self.feed.is_idle() {
                *seen = Some(last);
                return Ok(false);
            }
        }
        let (found, looked) = events::list_after(&mut conn, after, BATCH).await?;
        if looked == after {
            let last = events::last_id(&mut conn).await?;
            if last < after {
                // The log was set back, as by a restore. Its numbers are given anew.
                *seen = Some(last);
                self.feed.publish_gap();
                return Ok(false);
            }
        }
        drop(conn);
        let told: Vec<Arc<Told>> = found
            .iter()
            .map(|event| Arc::new(write(event, &self.links)))
            .collect();
        self.feed.publish(&told);
        *seen = Some(looked);
        Ok(looked.0 - after.0 >= BATCH)
    }
}

/// Writes an event as everybody is told of it.
#[must_use]
pub fn write(event: &Event, links: &Links) -> Told {
    Told {
        id: event.id,
        tenant_id: event.tenant_id,
        job_id: event.job_id(),
        kind: event.kind,
        // Text and numbers always become JSON.
        body: event.written(links).unwrap_or_default().into(),
    }
}
