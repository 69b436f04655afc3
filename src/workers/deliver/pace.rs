//! Receivers that answer at once, and turns at them.
//!
//! A claim is a commit, and so is the record of what it brought. Where a receiver answers faster than those, it would be
//! waiting for them: so of its lane more is leased ahead, and what is leased takes turns, as many under way at once as in any
//! lane. Where the receiver slows down or fails, what still waits for its turn is given back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{db::deliveries::LANE_WIDTH, domain::ids::LaneId};

/// A receiver is fast once it takes a message within this.
const FAST: Duration = Duration::from_millis(20);

/// And until one takes longer than this: what is leased ahead has its turn in little more than a second.
const SLOW: Duration = Duration::from_millis(100);

/// How many are leased ahead of those that are under way: about as many as are sent while some are claimed and recorded.
const AHEAD: i32 = 15 * LANE_WIDTH;

/// How many lanes are kept in mind.
const MOST_LANES: usize = 10_000;

/// The turns at fast receivers.
#[derive(Default)]
pub(super) struct Pace(Mutex<HashMap<LaneId, LaneTurns>>);

/// The turns of one lane, whose receiver is fast. Clones are the same.
#[derive(Clone)]
pub(super) struct LaneTurns(Arc<Semaphore>);

/// Why there is none: the receiver has slowed down.
#[derive(Debug)]
pub(super) struct NoTurn;

impl Pace {
    /// Each of these lanes with how many may be leased ahead there, and the turns that those have to take, also where the lane slows
    /// down before they are leased.
    pub(super) fn ahead(
        &self,
        lanes: &[LaneId],
    ) -> (Vec<(LaneId, i32)>, HashMap<LaneId, LaneTurns>) {
        let fast = self.lock();
        let turns: HashMap<LaneId, LaneTurns> = lanes
            .iter()
            .filter_map(|lane| Some((*lane, fast.get(lane)?.clone())))
            .collect();
        let ahead = |lane: &LaneId| {
            let ahead = if turns.contains_key(lane) { AHEAD } else { 0 };
            (*lane, ahead)
        };
        (lanes.iter().map(ahead).collect(), turns)
    }

    /// The turns of a lane. `None`: no more of it is leased than can be under way.
    pub(super) fn turns(&self, lane: LaneId) -> Option<LaneTurns> {
        self.lock().get(&lane).cloned()
    }

    /// Notes how long a receiver took for a message, or that it did not take it.
    pub(super) fn note(&self, lane: LaneId, taken_within: Option<Duration>) {
        match taken_within {
            Some(within) if within <= FAST => self.note_fast(lane),
            Some(within) if within <= SLOW => {}
            _ => self.note_slow(lane),
        }
    }

    fn note_fast(&self, lane: LaneId) {
        let mut fast = self.lock();
        if fast.len() >= MOST_LANES {
            fast.retain(|_, turns| turns.are_waited_for());
        }
        if fast.len() < MOST_LANES {
            fast.entry(lane).or_insert_with(LaneTurns::new);
        }
    }

    /// What waits for its turn there does not get one.
    pub(super) fn note_slow(&self, lane: LaneId) {
        if let Some(turns) = self.lock().remove(&lane) {
            turns.0.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LaneId, LaneTurns>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LaneTurns {
    fn new() -> Self {
        let width = usize::try_from(LANE_WIDTH).unwrap_or_default();
        Self(Arc::new(Semaphore::new(width)))
    }

    fn are_waited_for(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Waits for a turn, which lasts until it is dropped.
    pub(super) async fn take(self) -> Result<OwnedSemaphorePermit, NoTurn> {
        self.0.acquire_owned().await.map_err(|_| NoTurn)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;

    const LANE: LaneId = LaneId(Uuid::nil());

    fn milliseconds(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn more_is_leased_of_a_receiver_that_is_fast_until_it_is_slow_or_fails() {
        let pace = Pace::default();
        assert_eq!(pace.ahead(&[LANE]).0, [(LANE, 0)]);
        pace.note(LANE, Some(milliseconds(60)));
        assert_eq!(pace.ahead(&[LANE]).0, [(LANE, 0)]);
        for last in [Some(milliseconds(101)), None] {
            pace.note(LANE, Some(milliseconds(20)));
            pace.note(LANE, Some(milliseconds(60)));
            let other = LaneId(Uuid::max());
            assert_eq!(pace.ahead(&[LANE, other]).0, [(LANE, AHEAD), (other, 0)]);
            pace.note(LANE, last);
            assert_eq!(pace.ahead(&[LANE]).0, [(LANE, 0)]);
        }
    }

    #[test]
    fn turns_are_as_many_as_a_lane_is_wide_and_end_with_its_pace() {
        let pace = Pace::default();
        assert!(pace.turns(LANE).is_none());
        pace.note(LANE, Some(milliseconds(1)));
        let take = || Box::pin(pace.turns(LANE).unwrap().take());
        let mut held: Vec<_> = (0..LANE_WIDTH)
            .map(|_| take().now_or_never().unwrap().unwrap())
            .collect();
        let (mut next, mut last) = (take(), take());
        assert!((&mut next).now_or_never().is_none());
        held.pop();
        let _held = (&mut next).now_or_never().unwrap().unwrap();
        assert!((&mut last).now_or_never().is_none());
        pace.note(LANE, None);
        assert!(last.now_or_never().unwrap().is_err());
    }
}
