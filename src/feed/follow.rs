//! The one reader of the log in this process.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Feed, Told};
use crate::{
    db::{
        events::{self, Numbered},
        pool::Pool,
        wakeups::Wakeups,
    },
    domain::{
        event::{Event, EventId},
        links::Links,
    },
};

/// How many events are read at once.
const BATCH: i64 = 500;

/// How long until the next look when nothing wakes it, since a wake-up may be lost.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How many batches wait for the follower. It reads the log where there were more.
const HANDED_OVER: usize = 16;

/// Takes what was numbered in this process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Handover {
    follower: mpsc::Sender<Numbered>,
    feed: Feed,
    seen: Seen,
}

/// What a [`Handover`] leaves to the follower.
#[derive(Debug)]
pub struct HandedOver {
    numbered: mpsc::Receiver<Numbered>,
    feed: Feed,
    seen: Seen,
}

/// Up to where those who wait have everything. `None`: nothing is known yet.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Option<EventId>>>);

impl Seen {
    fn get(&self) -> Option<EventId> {
        *self.lock()
    }

    /// Moves on past what comes next. Whether it does.
    fn pass(&self, numbered: &Numbered) -> bool {
        let mut seen = self.lock();
        let is_next = *seen == Some(numbered.after);
        if is_next {
            *seen = Some(numbered.through);
        }
        is_next
    }

    /// Moves on, unless it is further already.
    fn advance(&self, through: EventId) {
        let mut seen = self.lock();
        *seen = (*seen).max(Some(through));
    }

    fn set(&self, seen: EventId) {
        *self.lock() = Some(seen);
    }

    fn lock(&self) -> MutexGuard<'_, Option<EventId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handover {
    /// Makes one, and what goes to the follower.
    #[must_use]
    pub fn new(feed: Feed) -> (Self, HandedOver) {
        let (follower, numbered) = mpsc::channel(HANDED_OVER);
        let seen = Seen::default();
        let handed_over = HandedOver {
            numbered,
            feed: feed.clone(),
            seen: seen.clone(),
        };
        let handover = Self {
            follower,
            feed,
            seen,
        };
        (handover, handed_over)
    }

    /// Hands events over whose numbers are committed. Whether they are taken care of; else they are to be read.
    #[must_use]
    pub fn hand(&self, numbered: Numbered) -> bool {
        // Nobody has to be woken for what nobody waits for. Whoever subscribes after this look finds them in the database,
        // where they are committed.
        (self.feed.is_idle() && self.seen.pass(&numbered))
            || self.follower.try_send(numbered).is_ok()
    }
}

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
                read = self.read_on() => read,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::ids::JobId, feed::Topic};

    fn numbered(after: i64, through: i64) -> Numbered {
        Numbered {
            after: EventId(after),
            through: EventId(through),
            events: Vec::new(),
            audiences: Vec::new(),
            has_more: false,
        }
    }

    fn waits_for_the_follower(handed_over: &mut HandedOver) -> bool {
        handed_over.numbered.try_recv().is_ok()
    }

    #[test]
    fn the_follower_is_woken_only_for_what_somebody_waits_for_or_what_does_not_come_next() {
        let feed = Feed::default();
        let (handover, mut handed_over) = Handover::new(feed.clone());
        assert!(handover.hand(numbered(6, 7)));
        assert!(
            waits_for_the_follower(&mut handed_over),
            "nothing is known yet"
        );

        handed_over.seen.set(EventId(7));
        assert!(handover.hand(numbered(7, 9)));
        assert!(!waits_for_the_follower(&mut handed_over));
        assert_eq!(handed_over.seen.get(), Some(EventId(9)));

        assert!(handover.hand(numbered(10, 11)));
        assert!(
            waits_for_the_follower(&mut handed_over),
            "one was numbered elsewhere"
        );
        assert_eq!(handed_over.seen.get(), Some(EventId(9)));

        let waiting = feed.subscribe(Topic::Job(JobId(uuid::Uuid::from_u128(1))));
        assert!(handover.hand(numbered(9, 10)));
        assert!(
            waits_for_the_follower(&mut handed_over),
            "somebody waits for it"
        );
        drop(waiting);
        assert!(handover.hand(numbered(9, 10)));
        assert!(!waits_for_the_follower(&mut handed_over));
    }

    #[test]
    fn what_is_read_late_does_not_set_back_what_was_handed_over_meanwhile() {
        let (handover, handed_over) = Handover::new(Feed::default());
        handed_over.seen.set(EventId(3));
        assert!(handover.hand(numbered(3, 5)));
        handed_over.seen.advance(EventId(4));
        assert_eq!(handed_over.seen.get(), Some(EventId(5)));
    }

    #[test]
    fn what_finds_no_room_is_to_be_read() {
        let (handover, _handed_over) = Handover::new(Feed::default());
        let taken = (0..=HANDED_OVER).map(|_| handover.hand(numbered(0, 1)));
        let taken: Vec<bool> = taken.collect();
        assert_eq!(taken.iter().filter(|taken| !**taken).count(), 1);
    }
}
