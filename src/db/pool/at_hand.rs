//! What is at hand: the last that was put back is the first to be taken, since its processes and caches are still warm; and
//! those who wait while nothing is, who come first in turn.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::db::TRUSTED_IDLE_TIME;

/// After this the pool gets one back where nobody waits, and ends those that are too old.
const LENT_FOR_AT_MOST: Duration = Duration::from_secs(30);

/// The same where somebody waits.
const LENT_ON_FOR_AT_MOST: Duration = Duration::from_mins(5);

/// How many begin to ask at the same moment. Many openings at once keep Postgres from doing anything else.
const MOST_ASKERS: usize = 2;

/// Connections that nobody uses, oldest first, and those who wait for one.
#[derive(Debug)]
pub(super) struct AtHand<C> {
    resting: VecDeque<Resting<C>>,
    /// Those who have waited longest first. Some may have gone.
    waiting: VecDeque<oneshot::Sender<Given<C>>>,
    /// How many ask, apart from those whose question takes long.
    askers: usize,
    is_closed: bool,
}

/// What one who waits gets: a connection, with the time when the pool gave it out.
pub(super) type Given<C> = sqlx::Result<(C, Instant)>;

/// What one gets who asks for what is at hand.
#[derive(Debug)]
pub(super) enum Taken<C> {
    Conn(C, Instant),
    /// Nothing that is warm: what is put back next is given. Whoever waits sees to it that somebody asks.
    Nothing(oneshot::Receiver<Given<C>>),
}

#[derive(Debug)]
struct Resting<C> {
    conn: C,
    /// When the pool last gave it out.
    since: Instant,
    put_back_at: Instant,
}

impl<C> Default for AtHand<C> {
    fn default() -> Self {
        Self {
            resting: VecDeque::new(),
            waiting: VecDeque::new(),
            askers: 0,
            is_closed: false,
        }
    }
}

impl<C> AtHand<C> {
    /// Takes the warmest, or waits.
    pub(super) fn take(&mut self, now: Instant) -> Taken<C> {
        if let Some(last) = self.resting.pop_back_if(|last| last.is_warm(now)) {
            return Taken::Conn(last.conn, last.since);
        }
        let (sender, given) = oneshot::channel();
        self.waiting.push_back(sender);
        Taken::Nothing(given)
    }

    /// Takes the warmest, cold or not, for whoever asks it whether it still answers.
    pub(super) fn take_resting(&mut self) -> Option<(C, Instant)> {
        let last = self.resting.pop_back()?;
        Some((last.conn, last.since))
    }

    /// Whether there is one.
    pub(super) fn is_any_resting(&self) -> bool {
        !self.resting.is_empty()
    }

    /// Puts one back, for whoever has waited longest. Returns those that are the pool's: this one, where it was lent for long or
    /// it is closed; and what has gone cold.
    pub(super) fn put_back(&mut self, conn: C, since: Instant, now: Instant) -> Vec<C> {
        let lent_for = now.saturating_duration_since(since);
        if self.is_closed || lent_for > LENT_ON_FOR_AT_MOST {
            return vec![conn];
        }
        let Some(Ok((conn, since))) = self.give(Ok((conn, since))) else {
            return Vec::new();
        };
        if lent_for > LENT_FOR_AT_MOST {
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

    /// Sends an error to whoever has waited longest.
    pub(super) fn fail(&mut self, error: sqlx::Error) {
        drop(self.give(Err(error)));
    }

    /// Whether one more is to ask. Counts it.
    pub(super) fn begin_to_ask(&mut self) -> bool {
        let is_needed = self.askers < MOST_ASKERS && self.askers < self.count_waiting();
        self.askers += usize::from(is_needed);
        is_needed
    }

    /// Whether one who asked goes on: others still wait. One who does not is no longer counted.
    pub(super) fn ask_on(&mut self) -> bool {
        let is_needed = self.askers <= self.count_waiting();
        self.askers -= usize::from(!is_needed);
        is_needed
    }

    /// One who asks is counted no more.
    pub(super) fn stop_asking(&mut self) {
        self.askers -= 1;
    }

    /// Takes all of them, and no more. Nobody gets any from now on.
    pub(super) fn close(&mut self) -> impl Iterator<Item = C> {
        self.is_closed = true;
        self.waiting.clear();
        self.resting.drain(..).map(|resting| resting.conn)
    }

    fn count_waiting(&mut self) -> usize {
        self.waiting.retain(|sender| !sender.is_closed());
        self.waiting.len()
    }

    /// Gives it to whoever has waited longest, or returns it where nobody waits.
    fn give(&mut self, mut given: Given<C>) -> Option<Given<C>> {
        while let Some(sender) = self.waiting.pop_front() {
            match sender.send(given) {
                Ok(()) => return None,
                Err(not_taken) => given = not_taken,
            }
        }
        Some(given)
    }
}

impl<C> Resting<C> {
    fn is_warm(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.put_back_at) <= TRUSTED_IDLE_TIME
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    type Waits = oneshot::Receiver<Given<&'static str>>;

    fn taken(at_hand: &mut AtHand<&'static str>, now: Instant) -> Option<(&'static str, Instant)> {
        match at_hand.take(now) {
            Taken::Conn(conn, since) => Some((conn, since)),
            Taken::Nothing(_) => None,
        }
    }

    fn waits(at_hand: &mut AtHand<&'static str>, now: Instant) -> Waits {
        match at_hand.take(now) {
            Taken::Conn(conn, _) => panic!("{conn} was at hand"),
            Taken::Nothing(given) => given,
        }
    }

    #[test]
    fn the_last_that_was_put_back_is_the_first_to_be_taken() {
        let now = Instant::now();
        let mut at_hand = AtHand::default();
        assert!(at_hand.put_back("first", now, now).is_empty());
        assert!(at_hand.put_back("second", now, now).is_empty());
        assert_eq!(taken(&mut at_hand, now), Some(("second", now)));
        assert_eq!(taken(&mut at_hand, now), Some(("first", now)));
    }

    #[test]
    fn whoever_has_waited_longest_gets_what_is_put_back() {
        let now = Instant::now();
        let mut at_hand = AtHand::default();
        let mut first = waits(&mut at_hand, now);
        let gone = waits(&mut at_hand, now);
        let mut third = waits(&mut at_hand, now);
        drop(gone);
        assert!(at_hand.put_back("one", now, now).is_empty());
        assert!(at_hand.put_back("two", now, now).is_empty());
        assert!(at_hand.put_back("three", now, now).is_empty());
        assert_eq!(taken(&mut at_hand, now), Some(("three", now)));
        assert_eq!(first.try_recv().unwrap().unwrap(), ("one", now));
        assert_eq!(third.try_recv().unwrap().unwrap(), ("two", now));
    }

    #[test]
    fn an_error_is_one_waiters_alone() {
        let now = Instant::now();
        let mut at_hand = AtHand::default();
        at_hand.fail(sqlx::Error::PoolClosed);
        let mut first = waits(&mut at_hand, now);
        let mut second = waits(&mut at_hand, now);
        at_hand.fail(sqlx::Error::PoolClosed);
        assert!(first.try_recv().unwrap().is_err());
        assert!(at_hand.put_back("any", now, now).is_empty());
        assert!(second.try_recv().unwrap().is_ok());
    }

    #[test]
    fn a_few_ask_for_all_who_wait_and_as_long_as_they_do() {
        let now = Instant::now();
        let mut at_hand = AtHand::default();
        assert!(!at_hand.begin_to_ask());
        let waiters = [(); 3].map(|()| {
            let given = waits(&mut at_hand, now);
            (given, at_hand.begin_to_ask())
        });
        assert_eq!(
            waiters.each_ref().map(|(_, asks)| *asks),
            [true, true, false]
        );
        at_hand.put_back("one", now, now);
        assert!(at_hand.ask_on(), "two still wait");
        at_hand.put_back("two", now, now);
        assert!(!at_hand.ask_on(), "one waits, for whom the other asks");
        drop(waiters);
        assert!(!at_hand.ask_on(), "nobody waits");
        let _given = waits(&mut at_hand, now);
        assert!(at_hand.begin_to_ask());
        at_hand.stop_asking();
        assert!(at_hand.begin_to_ask(), "the one who asked has gone");
    }

    #[test]
    fn what_has_gone_cold_goes_to_the_pool_with_the_next_that_is_put_back() {
        let then = Instant::now();
        let now = then + TRUSTED_IDLE_TIME + Duration::from_millis(1);
        let mut at_hand = AtHand::default();
        assert!(at_hand.put_back("cold", then, then).is_empty());
        assert!(
            at_hand
                .put_back("warm", then, then + TRUSTED_IDLE_TIME)
                .is_empty()
        );
        assert_eq!(at_hand.put_back("new", now, now), ["cold"]);
        assert_eq!(taken(&mut at_hand, now), Some(("new", now)));
        assert_eq!(taken(&mut at_hand, now), Some(("warm", then)));
    }

    #[test]
    fn what_has_gone_cold_is_taken_by_those_alone_who_ask_it() {
        let then = Instant::now();
        let now = then + TRUSTED_IDLE_TIME + Duration::from_millis(1);
        let mut at_hand = AtHand::default();
        for conn in ["first", "second"] {
            assert!(at_hand.put_back(conn, then, then).is_empty());
        }
        assert_eq!(taken(&mut at_hand, now), None);
        assert!(at_hand.is_any_resting());
        assert_eq!(at_hand.take_resting(), Some(("second", then)));
        assert_eq!(at_hand.take_resting(), Some(("first", then)));
        assert_eq!(at_hand.take_resting(), None);
        assert!(!at_hand.is_any_resting());
    }

    #[test]
    fn nothing_is_at_hand_once_it_is_closed_and_nobody_gets_any() {
        let now = Instant::now();
        let mut at_hand = AtHand::default();
        assert!(at_hand.put_back("first", now, now).is_empty());
        assert_eq!(at_hand.close().collect::<Vec<_>>(), ["first"]);
        assert_eq!(at_hand.put_back("second", now, now), ["second"]);
        let mut given = waits(&mut at_hand, now);
        assert_eq!(at_hand.put_back("third", now, now), ["third"]);
        assert_eq!(given.try_recv().unwrap_err(), TryRecvError::Empty);
        at_hand.fail(sqlx::Error::PoolClosed);
        assert!(given.try_recv().unwrap().is_err());
    }

    #[test]
    fn whoever_waits_learns_that_it_is_closed() {
        let now = Instant::now();
        let mut at_hand = AtHand::default();
        let mut given = waits(&mut at_hand, now);
        assert_eq!(at_hand.close().count(), 0);
        assert_eq!(given.try_recv().unwrap_err(), TryRecvError::Closed);
    }

    #[test]
    fn what_was_lent_for_long_goes_to_the_pool_where_nobody_waits() {
        let then = Instant::now();
        let mut at_hand = AtHand::default();
        let within = then + LENT_FOR_AT_MOST;
        assert!(at_hand.put_back("any", then, within).is_empty());
        assert_eq!(taken(&mut at_hand, within), Some(("any", then)));
        let after = within + Duration::from_millis(1);
        let mut given = waits(&mut at_hand, after);
        assert!(at_hand.put_back("any", then, after).is_empty());
        assert_eq!(given.try_recv().unwrap().unwrap(), ("any", then));
        assert_eq!(at_hand.put_back("any", then, after), ["any"]);
    }

    #[test]
    fn what_was_lent_on_for_very_long_goes_to_the_pool_whoever_waits() {
        let then = Instant::now();
        let mut at_hand = AtHand::default();
        let _given = waits(&mut at_hand, then);
        let after = then + LENT_ON_FOR_AT_MOST + Duration::from_millis(1);
        assert_eq!(at_hand.put_back("any", then, after), ["any"]);
    }
}
