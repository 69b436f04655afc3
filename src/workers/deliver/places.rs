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

    /// How many are free, and how many of them for lanes that are not known to work.
    pub(super) fn room(&self) -> (usize, usize) {
        let room = self.all.available_permits();
        (room, self.unproven.available_permits().min(room))
    }

    /// Takes one. Only whoever has asked for the room does, so it is there.
    pub(super) fn take(&self, is_unproven: bool) -> Place {
        let take = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        Place {
            held: [
                take(&self.all),
                is_unproven.then(|| take(&self.unproven)).flatten(),
            ],
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_that_fail_leave_half_of_the_places_to_others() {
        let places = Places::new();
        let failing: Vec<Place> = (0..UNPROVEN_PLACES).map(|_| places.take(true)).collect();
        assert_eq!(places.room(), (PLACES - UNPROVEN_PLACES, 0));
        let _working = places.take(false);
        drop(failing);
        assert_eq!(places.room(), (PLACES - 1, UNPROVEN_PLACES));
    }

    #[test]
    fn what_takes_long_makes_room_as_far_as_there_are_places_for_it() {
        let places = Places::new();
        let mut slow: Vec<Place> = (0..PLACES).map(|_| places.take(true)).collect();
        assert_eq!(places.room(), (0, 0));
        assert!(slow.iter_mut().all(|place| places.move_aside(place)));
        assert_eq!(places.room(), (PLACES, UNPROVEN_PLACES));
        let mut more: Vec<Place> = (0..PLACES).map(|_| places.take(false)).collect();
        assert!(more.iter_mut().all(|place| places.move_aside(place)));
        let mut last = places.take(false);
        assert!(!places.move_aside(&mut last));
        assert_eq!(places.room().0, PLACES - 1);
        drop(slow);
        assert!(places.move_aside(&mut last));
    }
}
