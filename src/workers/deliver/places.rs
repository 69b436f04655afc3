//! How many deliveries are under way in this process, and for whom.
//!
//! No tenant can take all places: it gets one more for as long as it holds fewer than are free ([`crate::domain::shares`]). A
//! claim is told who holds how many, and keeps to that.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    db::deliveries::{Held, Room},
    domain::{
        ids::TenantId,
        shares::{SharedPlace, Shares},
    },
};

/// How many at once.
const PLACES: usize = 256;

/// How many of them for lanes that fail, or of which nothing is known yet.
const UNPROVEN_PLACES: usize = PLACES / 2;

/// How many more that take long. Each holds a socket, of which a process often has no more than a thousand.
const SLOW_PLACES: usize = 512;

/// How many connections to receivers there may be at once.
pub const MOST_CONNECTIONS: usize = PLACES + SLOW_PLACES;

/// The places.
pub(super) struct Places {
    all: Arc<Semaphore>,
    unproven: Arc<Semaphore>,
    slow: Shares,
    tally: Tally,
}

/// Who holds how many, but for those that take long.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<HashMap<TenantId, Held>>>);

/// One of the places, held until what came of it is recorded.
pub(super) struct Place {
    tenant_id: TenantId,
    held: Holding,
}

enum Holding {
    Quick {
        _places: [Option<OwnedSemaphorePermit>; 2],
        _counted: Counted,
    },
    Slow(#[expect(dead_code, reason = "held until it is dropped")] SharedPlace),
}

/// A place in the tally.
struct Counted {
    tenant_id: TenantId,
    is_unproven: bool,
    tally: Tally,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(PLACES)),
            unproven: Arc::new(Semaphore::new(UNPROVEN_PLACES)),
            slow: Shares::new(SLOW_PLACES),
            tally: Tally::default(),
        }
    }

    /// Reserves half of what is free, so that whoever claims meanwhile finds some, too. `None`: nothing is.
    pub(super) fn reserve(&self) -> Option<Reserved> {
        Some(Reserved {
            all: reserve_half(&self.all)?,
            unproven: reserve_half(&self.unproven),
            tally: self.tally.clone(),
        })
    }

    /// How many deliveries of a tenant there is room for now, in lanes that work.
    pub(super) fn room_for(&self, tenant_id: TenantId) -> usize {
        let tally = self.tally.lock();
        let all: usize = tally.values().map(|held| held.places).sum();
        let held = tally.get(&tenant_id).map_or(0, |held| held.places);
        // Before each of them it holds fewer than are free.
        let share = PLACES.saturating_sub(all).saturating_sub(held).div_ceil(2);
        share.min(self.all.available_permits())
    }

    /// Takes a place for a delivery in a lane that works, once there is one.
    pub(super) async fn take_next(&self, tenant_id: TenantId) -> Option<Place> {
        let place = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Place {
            tenant_id,
            held: Holding::Quick {
                _places: [Some(place), None],
                _counted: self.tally.count(tenant_id, false),
            },
        })
    }

    /// Whether none is free.
    pub(super) fn are_taken(&self) -> bool {
        self.all.available_permits() == 0
    }

    /// Makes room for others, if there is a place for one that takes long. Whether there was.
    pub(super) fn move_aside(&self, place: &mut Place) -> bool {
        let Ok(slow) = self.slow.take(place.tenant_id) else {
            return false;
        };
        place.held = Holding::Slow(slow);
        true
    }
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, tenant_id: TenantId, is_unproven: bool) -> Counted {
        let mut held = self.lock();
        let held = held.entry(tenant_id).or_default();
        held.places += 1;
        held.unproven_places += usize::from(is_unproven);
        Counted {
            tenant_id,
            is_unproven,
            tally: self.clone(),
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut tally = self.tally.lock();
        if let Some(held) = tally.get_mut(&self.tenant_id) {
            held.places -= 1;
            held.unproven_places -= usize::from(self.is_unproven);
            if held.places == 0 {
                tally.remove(&self.tenant_id);
            }
        }
    }
}

/// Places for what a claim brings.
pub(super) struct Reserved {
    all: OwnedSemaphorePermit,
    unproven: Option<OwnedSemaphorePermit>,
    tally: Tally,
}

impl Reserved {
    /// What a claim may bring.
    pub(super) fn room(&self) -> Room {
        let unproven = self.unproven.as_ref();
        let places = self.all.num_permits();
        let tally = self.tally.lock().clone();
        let held = |of: fn(&Held) -> usize| tally.values().map(of).sum::<usize>();
        Room {
            places,
            unproven_places: unproven
                .map_or(0, OwnedSemaphorePermit::num_permits)
                .min(places),
            // With what others have reserved for a moment.
            free: PLACES.saturating_sub(held(|held| held.places)),
            unproven_free: UNPROVEN_PLACES.saturating_sub(held(|held| held.unproven_places)),
            held: tally,
        }
    }

    /// Takes one. No more are claimed than there is room for, so it is there.
    pub(super) fn take(&mut self, tenant_id: TenantId, is_unproven: bool) -> Place {
        let unproven = self.unproven.as_mut().filter(|_| is_unproven);
        Place {
            tenant_id,
            held: Holding::Quick {
                _places: [
                    self.all.split(1),
                    unproven.and_then(|unproven| unproven.split(1)),
                ],
                _counted: self.tally.count(tenant_id, is_unproven),
            },
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
    use uuid::Uuid;

    use super::*;

    const TENANT: TenantId = TenantId(Uuid::nil());

    /// How many places there are to be claimed, and how many of them for lanes that are not known to work.
    fn room(reserved: &Reserved) -> (usize, usize) {
        let room = reserved.room();
        (room.places, room.unproven_places)
    }

    #[test]
    fn lanes_that_fail_leave_half_of_the_places_to_others() {
        let places = Places::new();
        let failing = take_all(&places, true);
        assert_eq!(failing.len(), UNPROVEN_PLACES);
        let room = places.reserve().map(|reserved| room(&reserved));
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
        // Half of those for what takes long.
        assert!(slow.iter_mut().all(|place| places.move_aside(place)));
        let mut more = take_all(&places, false);
        assert_eq!(more.len(), PLACES);
        assert!(!places.move_aside(&mut more[0]));
        more.clear();
        let other = TenantId(Uuid::from_u128(1));
        let mut of_another = places.reserve().unwrap().take(other, false);
        assert!(places.move_aside(&mut of_another));
        drop(slow);
        let mut last = places.reserve().unwrap().take(TENANT, false);
        assert!(places.move_aside(&mut last));
    }

    #[test]
    fn who_claims_while_another_does_finds_places_too() {
        let places = Places::new();
        let (first, second) = (places.reserve().unwrap(), places.reserve().unwrap());
        assert_eq!(room(&first), (PLACES / 2, UNPROVEN_PLACES / 2));
        assert_eq!(room(&second), (PLACES / 4, UNPROVEN_PLACES / 4));
        drop((first, second));
        assert_eq!(take_all(&places, false).len(), PLACES);
    }

    /// Claims again and again, as long as there is something to be had.
    fn take_all(places: &Places, is_unproven: bool) -> Vec<Place> {
        let mut taken = Vec::new();
        while let Some(mut reserved) = places.reserve() {
            let (room, unproven_room) = room(&reserved);
            let room = if is_unproven { unproven_room } else { room };
            if room == 0 {
                break;
            }
            taken.extend((0..room).map(|_| reserved.take(TENANT, is_unproven)));
        }
        taken
    }

    #[test]
    fn what_is_held_is_counted_for_whom_and_for_no_longer() {
        let places = Places::new();
        let mut reserved = places.reserve().unwrap();
        let other = TenantId(Uuid::from_u128(1));
        let (_quick, mut aside) = (reserved.take(TENANT, true), reserved.take(TENANT, false));
        drop(reserved.take(other, true));
        let told = reserved.room();
        assert_eq!(told.held.len(), 1);
        let held = told.held[&TENANT];
        assert_eq!((held.places, held.unproven_places), (2, 1));
        assert_eq!(
            (told.free, told.unproven_free),
            (PLACES - 2, UNPROVEN_PLACES - 1)
        );
        assert!(places.move_aside(&mut aside));
        assert_eq!(reserved.room().held[&TENANT].places, 1);
    }
}
