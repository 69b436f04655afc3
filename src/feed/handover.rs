//! Handing over what this process has numbered itself, so that it need not be read.
//!
//! Where nobody waits, whoever numbers events moves the position on by itself, and the follower sleeps. Otherwise the follower
//! alone tells those who wait, so that they are told in the order of the numbers: it takes what joins on to the position, and reads
//! the log where something lies between.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::Feed;
use crate::{db::events::Numbered, domain::event::EventId};

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
    pub(super) numbered: mpsc::Receiver<Numbered>,
    pub(super) feed: Feed,
    pub(super) seen: Seen,
}

/// Up to where those who wait have everything. `None`: nothing is known yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Option<EventId>>>);

impl Seen {
    pub(super) fn get(&self) -> Option<EventId> {
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
    pub(super) fn advance(&self, through: EventId) {
        let mut seen = self.lock();
        *seen = (*seen).max(Some(through));
    }

    pub(super) fn set(&self, seen: EventId) {
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
