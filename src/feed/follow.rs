//! The one reader of the log in this process.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Told, handover::HandedOver};
use crate::{
    db::{
        events::{self, Numbered},
        pool::{Pool, in_time},
        wakeups::Wakeups,
    },
    domain::{event::Event, links::Links},
};

/// How many events are read at once.
const BATCH: i64 = 500;

/// How long until the next look when nothing wakes it, since a wake-up may be lost.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Follows the log for the feed.
pub struct Follower {
    /// The database.
    pub pool: Pool,
    /// Tells of events that have got their numbers.
    pub wakeups: Wakeups,
    /// Events that have got them in this process, and to whom they are handed.
    pub handed_over: HandedOver,
    /// Where callers find what they are told of.
    pub links: Links,
}

impl Follower {
    /// Follows until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let read = tokio::select! {
                () = stop.cancelled() => return,
                read = in_time(self.read_on()) => read,
            };
            match read {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "Could not read the event log; trying again");
                }
            }
            let sweep = tokio::time::sleep(SWEEP_INTERVAL);
            tokio::pin!(sweep);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    Some(numbered) = self.handed_over.numbered.recv() => {
                        if self.take(&numbered) {
                            continue;
                        }
                    }
                    () = self.wakeups.wait_for_numbered() => {}
                    () = &mut sweep => {}
                }
                break;
            }
        }
    }

    /// Hands on what was numbered here, if it is what comes next. Where not, the log is to be read.
    fn take(&self, numbered: &Numbered) -> bool {
        let HandedOver { feed, seen, .. } = &self.handed_over;
        match seen.get() {
            // It was read meanwhile.
            Some(seen) if numbered.through <= seen => return true,
            Some(seen) if numbered.after == seen => {}
            _ => return false,
        }
        if !feed.is_idle() {
            self.publish(&numbered.events);
        }
        seen.advance(numbered.through);
        true
    }

    fn publish(&self, events: &[Event]) {
        let told: Vec<Arc<Told>> = events
            .iter()
            .map(|event| Arc::new(write(event, &self.links)))
            .collect();
        self.handed_over.feed.publish(&told);
    }

    /// Hands on what is new. Whether there may be more.
    async fn read_on(&self) -> sqlx::Result<bool> {
        let HandedOver { feed, seen, .. } = &self.handed_over;
        let mut conn = self.pool.acquire().await?;
        let Some(after) = seen.get() else {
            seen.set(events::last_id(&mut conn).await?);
            // Whoever has subscribed by now may have read the database before this look, and events may lie between.
            feed.publish_gap();
            return Ok(true);
        };
        if feed.is_idle() {
            let last = events::last_id(&mut conn).await?;
            // Whoever subscribes after this look reads the database later than it, and finds these events there.
            if feed.is_idle() {
                if last < after {
                    seen.set(last);
                } else {
                    seen.advance(last);
                }
                conn.put_back();
                return Ok(false);
            }
        }
        let (found, looked) = events::list_after(&mut conn, after, BATCH).await?;
        if looked == after {
            let last = events::last_id(&mut conn).await?;
            if last < after {
                // The log was set back, as by a restore. Its numbers are given anew.
                seen.set(last);
                feed.publish_gap();
                return Ok(false);
            }
        }
        conn.put_back();
        self.publish(&found);
        seen.advance(looked);
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
        known_since: event.known_since(),
        // Text and numbers always become JSON.
        body: event.written(links).unwrap_or_default().into(),
    }
}
