//! How many deliveries are under way in this process, and for whom.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many at once.
const PLACES: usize = 256;

/// How many of them for lanes that fail, or of which nothing is known yet.
const UNPROVEN_PLACES: usize = PLACES / 2;

/// How many more that take long. Each holds a socket, of which a process often has no more than a thousand.
const SLOW_PLACES: usize = 512;

/// The places.
pub(super) struct Places {
    all: Arc<Semaphore>,
    unproven: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

/// One of them, held until what came of it is recorded.
#[derive(Default)]
pub(super) struct Place {
    held: [Option<OwnedSemaphorePermit>; 2],
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(PLACES)),
            unproven: Arc::new(Semaphore::new(UNPROVEN_PLACES)),
            slow: Arc::new(Semaphore::new(SLOW_PLACES)),
        }
    }

    /// Reserves half of what is free, so that whoever claims meanwhile finds some, too. `None`: nothing is.
    pub(super) fn reserve(&self) -> Option<Reserved> {
        Some(Reserved {
            all: reserve_half(&self.all)?,
            unproven: reserve_half(&self.unproven),
        })
    }

    /// Makes room for others, if there is a place for one that takes long. Whether there was.
    pub(super) fn move_aside(&self, place: &mut Place) -> bool {
        let Ok(slow) = Arc::clone(&self.slow).try_acquire_owned() else {
            return false;
        };
        place.held = [Some(slow), None];
        true
    }
}

/// Places for what a claim brings.
pub(super) struct Reserved {
    all: OwnedSemaphorePermit,
    unproven: Option<OwnedSemaphorePermit>,
}

impl Reserved {
    /// How many, and how many of them for lanes that are not known to work.
    pub(super) fn room(&self) -> (usize, usize) {
        let unproven = self.unproven.as_ref();
        let room = self.all.num_permits();
        (
            room,
            unproven
                .map_or(0, OwnedSemaphorePermit::num_permits)
                .min(room),
        )
    }

    /// Takes one. No more are claimed than there is room for, so it is there.
    pub(super) fn take(&mut self, is_unproven: bool) -> Place {
        let unproven = self.unproven.as_mut().filter(|_| is_unproven);
        Place {
            held: [
                self.all.split(1),
                unproven.and_then(|unproven| unproven.split(1)),
            ],
        }
    }
}

fn reserve_half(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    let half = places.available_permits().div_ceil(2);
    let half = u32::try_from(half).ok().filter(|half| *half > 0)?;
    Arc::clone(places).try_acquire_many_owned(half).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_that_fail_leave_half_of_the_places_to_others() {
        let places = Places::new();
        let failing = take_all(&places, true);
        assert_eq!(failing.len(), UNPROVEN_PLACES);
        let room = places.reserve().map(|reserved| reserved.room());
        assert_eq!(room, Some(((PLACES - UNPROVEN_PLACES) / 2, 0)));
        let working = take_all(&places, false);
        assert_eq!(working.len(), PLACES - UNPROVEN_PLACES);
        assert!(places.reserve().is_none());
        drop(failing);
        assert_eq!(take_all(&places, true).len(), UNPROVEN_PLACES);
    }

    #[test]
    fn what_takes_long_makes_room_as_far_as_there_are_places_for_it() {
        let places = Places::new();
        let mut slow = take_all(&places, true);
        slow.extend(take_all(&places, false));
        assert!(places.reserve().is_none());
        assert!(slow.iter_mut().all(|place| places.move_aside(place)));
        let mut more = take_all(&places, false);
        assert_eq!(more.len(), PLACES);
        assert!(more.iter_mut().all(|place| places.move_aside(place)));
        let mut last = places.reserve().unwrap().take(false);
        assert!(!places.move_aside(&mut last));
        drop(slow);
        assert!(places.move_aside(&mut last));
    }

    #[test]
    fn who_claims_while_another_does_finds_places_too() {
        let places = Places::new();
        let (first, second) = (places.reserve().unwrap(), places.reserve().unwrap());
        assert_eq!(first.room(), (PLACES / 2, UNPROVEN_PLACES / 2));
        assert_eq!(second.room(), (PLACES / 4, UNPROVEN_PLACES / 4));
        drop((first, second));
        assert_eq!(take_all(&places, false).len(), PLACES);
    }

    /// Claims again and again, as long as there is something to be had.
    fn take_all(places: &Places, is_unproven: bool) -> Vec<Place> {
        let mut taken = Vec::new();
        while let Some(mut reserved) = places.reserve() {
            let (room, unproven_room) = reserved.room();
            let room = if is_unproven { unproven_room } else { room };
            if room == 0 {
                break;
            }
            taken.extend((0..room).map(|_| reserved.take(is_unproven)));
        }
        taken
    }
}
