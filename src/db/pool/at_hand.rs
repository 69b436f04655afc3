//! What is at hand: the last that was put back is the first to be taken, since its processes and caches are still warm.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::db::TRUSTED_IDLE_TIME;

/// After this the pool gets one back, which ends those that are too old.
const LENT_FOR_AT_MOST: Duration = Duration::from_secs(30);

/// Connections that nobody uses, oldest first.
#[derive(Debug)]
pub(super) struct AtHand<C> {
    resting: VecDeque<Resting<C>>,
    most: usize,
    /// How many wait for the pool.
    waiting: usize,
}

#[derive(Debug)]
struct Resting<C> {
    conn: C,
    /// When the pool last gave it out.
    since: Instant,
    put_back_at: Instant,
}

impl<C> AtHand<C> {
    /// None yet, and never more than so many.
    pub(super) fn of_at_most(most: usize) -> Self {
        Self {
            resting: VecDeque::new(),
            most,
            waiting: 0,
        }
    }

    /// Takes one, with the time when the pool gave it out. Without one, whoever asks waits for the pool, and says so when it
    /// does no more. The others have gone cold, and are the pool's.
    pub(super) fn take(&mut self, now: Instant) -> (Option<(C, Instant)>, Vec<C>) {
        match self.resting.pop_back() {
            Some(last) if last.is_warm(now) => (Some((last.conn, last.since)), Vec::new()),
            last => {
                self.waiting += 1;
                let cold = last.into_iter().map(|resting| resting.conn);
                (None, cold.chain(self.take_all()).collect())
            }
        }
    }

    /// Somebody has stopped to wait for the pool.
    pub(super) fn waits_no_more(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// Puts one back. Answers those that are the pool's: this one, where somebody waits for it there, and what has gone cold.
    pub(super) fn put_back(&mut self, conn: C, since: Instant, now: Instant) -> Vec<C> {
        let is_due = now.saturating_duration_since(since) > LENT_FOR_AT_MOST;
        if is_due || self.waiting > 0 || self.resting.len() >= self.most {
            return vec![conn];
        }
        let cold = self
            .resting
            .iter()
            .take_while(|resting| !resting.is_warm(now))
            .count();
        let cold = self.resting.drain(..cold).map(|resting| resting.conn);
        let cold = cold.collect();
        self.resting.push_back(Resting {
            conn,
            since,
            put_back_at: now,
        });
        cold
    }

    /// Takes all of them, and no more.
    pub(super) fn close(&mut self) -> impl Iterator<Item = C> {
        self.most = 0;
        self.take_all()
    }

    fn take_all(&mut self) -> impl Iterator<Item = C> {
        self.resting.drain(..).map(|resting| resting.conn)
    }
}

impl<C> Resting<C> {
    fn is_warm(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.put_back_at) <= TRUSTED_IDLE_TIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_that_was_put_back_is_the_first_to_be_taken() {
        let now = Instant::now();
        let mut at_hand = AtHand::of_at_most(2);
        assert!(at_hand.put_back("first", now, now).is_empty());
        assert!(at_hand.put_back("second", now, now).is_empty());
        assert_eq!(at_hand.take(now), (Some(("second", now)), vec![]));
        assert_eq!(at_hand.take(now), (Some(("first", now)), vec![]));
    }

    #[test]
    fn more_than_there_is_room_for_goes_to_the_pool() {
        let now = Instant::now();
        let mut at_hand = AtHand::of_at_most(1);
        assert!(at_hand.put_back("first", now, now).is_empty());
        assert_eq!(at_hand.put_back("second", now, now), ["second"]);
        assert_eq!(AtHand::of_at_most(0).put_back("any", now, now), ["any"]);
    }

    #[test]
    fn what_somebody_waits_for_goes_to_the_pool() {
        let now = Instant::now();
        let mut at_hand = AtHand::of_at_most(1);
        assert_eq!(at_hand.take(now), (None, vec![]));
        assert_eq!(at_hand.put_back("any", now, now), ["any"]);
        at_hand.waits_no_more();
        assert!(at_hand.put_back("any", now, now).is_empty());
    }

    #[test]
    fn what_has_gone_cold_goes_to_the_pool_with_the_next_that_is_put_back() {
        let then = Instant::now();
        let now = then + TRUSTED_IDLE_TIME + Duration::from_millis(1);
        let mut at_hand = AtHand::of_at_most(3);
        assert!(at_hand.put_back("cold", then, then).is_empty());
        assert!(
            at_hand
                .put_back("warm", then, then + TRUSTED_IDLE_TIME)
                .is_empty()
        );
        assert_eq!(at_hand.put_back("new", now, now), ["cold"]);
        assert_eq!(at_hand.take(now), (Some(("new", now)), vec![]));
        assert_eq!(at_hand.take(now), (Some(("warm", then)), vec![]));
    }

    #[test]
    fn nothing_that_has_gone_cold_is_taken() {
        let then = Instant::now();
        let now = then + TRUSTED_IDLE_TIME + Duration::from_millis(1);
        let mut at_hand = AtHand::of_at_most(2);
        for conn in ["first", "second"] {
            assert!(at_hand.put_back(conn, then, then).is_empty());
        }
        assert_eq!(at_hand.take(now), (None, vec!["second", "first"]));
        assert_eq!(at_hand.take_all().count(), 0);
    }

    #[test]
    fn nothing_is_at_hand_once_it_is_closed() {
        let now = Instant::now();
        let mut at_hand = AtHand::of_at_most(2);
        assert!(at_hand.put_back("first", now, now).is_empty());
        assert_eq!(at_hand.close().collect::<Vec<_>>(), ["first"]);
        assert_eq!(at_hand.put_back("second", now, now), ["second"]);
    }

    #[test]
    fn what_was_lent_for_long_goes_to_the_pool_however_busy_it_is() {
        let then = Instant::now();
        let mut at_hand = AtHand::of_at_most(1);
        let within = then + LENT_FOR_AT_MOST;
        assert!(at_hand.put_back("any", then, within).is_empty());
        assert_eq!(at_hand.take(within), (Some(("any", then)), vec![]));
        let after = within + Duration::from_millis(1);
        assert_eq!(at_hand.put_back("any", then, after), ["any"]);
    }
}
