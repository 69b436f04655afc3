//! For how long this process has known of each open attempt, by a clock that nobody sets.
//!
//! A database's clock may be set ahead, or its successor's may be ahead, while a create is under way: all that is counted on it is
//! over then. So nothing counts as not there that this process has not known for long enough itself. After a restart it waits anew.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{db::attempts::look_ups::OpenAttempt, domain::ids::AttemptId};

/// What is known of attempts that are open.
#[derive(Debug)]
pub struct Sightings {
    now: fn() -> Instant,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    attempts: HashMap<AttemptId, Sighting>,
    /// When the last look began. It proves nothing of what was later.
    looked_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Sighting {
    /// When it was first seen.
    at: Instant,
    /// When it was first seen that a look counted.
    counted_at: Option<Instant>,
}

/// For how long something was known when the last look began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The attempt.
    pub(super) attempt: Duration,
    /// That a look for it counted.
    pub(super) counted: Duration,
}

impl Sightings {
    /// Nothing yet. `now` reads the clock.
    #[must_use]
    pub fn new(now: fn() -> Instant) -> Self {
        Self {
            now,
            seen: Mutex::default(),
        }
    }

    /// Takes down what is open at this instant, and forgets everything else.
    pub(super) fn note(&self, open: &[OpenAttempt]) {
        let now = (self.now)();
        let mut seen = self.lock();
        let before = std::mem::take(&mut seen.attempts);
        seen.attempts = open
            .iter()
            .map(|attempt| {
                let known = before.get(&attempt.id);
                let counted_at = known.and_then(|known| known.counted_at);
                let sighting = Sighting {
                    at: known.map_or(now, |known| known.at),
                    counted_at: (attempt.absences > 0).then(|| counted_at.unwrap_or(now)),
                };
                (attempt.id, sighting)
            })
            .collect();
    }

    /// Takes down that a look begins at this instant.
    pub(super) fn begin_look(&self) {
        let now = (self.now)();
        self.lock().looked_at = Some(now);
    }

    /// Takes down that a look for an attempt counts, at this instant.
    pub(super) fn note_counted(&self, id: AttemptId) {
        let now = (self.now)();
        if let Some(sighting) = self.lock().attempts.get_mut(&id) {
            sighting.counted_at = Some(now);
        }
    }

    /// For how long an attempt was known; what had not been seen, for no time.
    pub(super) fn known(&self, id: AttemptId) -> Known {
        let seen = self.lock();
        let sighting = seen.attempts.get(&id);
        let since = |at: Option<Instant>| {
            seen.looked_at
                .zip(at)
                .map_or(Duration::ZERO, |(looked_at, at)| {
                    looked_at.saturating_duration_since(at)
                })
        };
        Known {
            attempt: since(sighting.map(|sighting| sighting.at)),
            counted: since(sighting.and_then(|sighting| sighting.counted_at)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    };

    use uuid::Uuid;

    use super::*;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    static SECONDS: AtomicU64 = AtomicU64::new(0);

    fn now() -> Instant {
        *START + Duration::from_secs(SECONDS.load(Ordering::Relaxed))
    }

    fn open(id: AttemptId, absences: i32) -> OpenAttempt {
        OpenAttempt {
            id,
            absences,
            is_due: false,
        }
    }

    #[test]
    fn an_attempt_is_known_from_its_first_sighting_until_it_is_not_open_any_more() {
        let sightings = Sightings::new(now);
        let id = AttemptId(Uuid::from_u128(1));
        let known = |attempt, counted| Known {
            attempt: Duration::from_secs(attempt),
            counted: Duration::from_secs(counted),
        };
        let pass = |seconds| SECONDS.fetch_add(seconds, Ordering::Relaxed);
        sightings.begin_look();
        assert_eq!(sightings.known(id), known(0, 0));
        sightings.note(&[open(id, 0)]);
        pass(10);
        sightings.note(&[open(id, 0)]);
        sightings.begin_look();
        assert_eq!(sightings.known(id), known(10, 0));
        // Another process noted that its look counted.
        sightings.note(&[open(id, 1)]);
        pass(5);
        sightings.note(&[open(id, 1)]);
        sightings.begin_look();
        // What passes during the look says nothing.
        pass(100);
        assert_eq!(sightings.known(id), known(15, 5));
        sightings.note_counted(id);
        sightings.begin_look();
        assert_eq!(sightings.known(id), known(115, 0));
        sightings.note(&[]);
        assert_eq!(sightings.known(id), known(0, 0));
        assert!(sightings.lock().attempts.is_empty());
    }
}
