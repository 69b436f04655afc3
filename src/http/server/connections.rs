//! How many connections are open at once, and which of them gives way.
//!
//! Each holds a file descriptor, and the process has so many (`ulimit -n`): for Postgres, for Gladia, for receivers and for the
//! spool as well. Whoever opens connections and asks for nothing on them, for which it takes no key, would have them all, and
//! then nothing got in any more: no caller, no callback, no probe. So each listener has a bound. Where it is full, a new
//! connection takes the place of one that has been without a request, its head not being complete, for the [`GRACE`] at least:
//! of the one that has waited longest for its first, else of the one that has rested longest since its last. So whoever sends a
//! request within that time, as those do who connect for one, is displaced by nobody, however many come at once. Where nobody has
//! been without one for so long, the next ones wait until somebody has, or is gone.
//!
//! A connection that is being served stays for as long as that takes: one with a stream, and also one whose caller is slow to send
//! a body or to take an answer. Callers can fill a listener so; what must not depend on them, such as probes and callbacks, has
//! one of its own.

mod bounds;
mod idle;
mod serving;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use self::idle::{Idle, Since};
pub use self::{
    bounds::{Bounds, Wanted, raise_file_limit},
    idle::GRACE,
    serving::{ServedBody, Serving},
};
use super::serve::CutOff;

/// How often it is said at most that no connection can give way.
const TELL_AGAIN: Duration = Duration::from_mins(1);

/// The connections of a listener. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// One has ended or has begun to rest.
    changed: Notify,
    /// Each ends with its next answer. A token would be locked for each of them.
    is_leaving: AtomicBool,
}

#[derive(Debug)]
struct State {
    most: usize,
    open: usize,
    /// Those that were told to end, and have not yet.
    giving_way: usize,
    /// Those without a request.
    idle: Idle,
    next: u64,
    told_at: Option<Instant>,
}

/// What there is for one that was accepted.
enum Found {
    Seat(Seat),
    /// Nothing before the next change, or before this instant, when the first of those without a request may be displaced.
    Nothing(Option<Instant>),
}

impl Connections {
    /// None so far, and never more than so many.
    #[must_use]
    pub fn at_most(most: usize) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                most: most.max(1),
                open: 0,
                giving_way: 0,
                idle: Idle::default(),
                next: 0,
                told_at: None,
            }),
            changed: Notify::new(),
            is_leaving: AtomicBool::new(false),
        }))
    }

    /// Waits for a place for one that was accepted, which another one may have to give up. For one who waits at a time.
    pub async fn seat(&self, cut_off: &CutOff) -> Seat {
        loop {
            let changed = self.0.changed.notified();
            match self.find_seat(cut_off, Instant::now()) {
                Found::Seat(seat) => return seat,
                Found::Nothing(None) => changed.await,
                Found::Nothing(Some(again)) => {
                    let _ = tokio::time::timeout_at(again, changed).await;
                }
            }
        }
    }

    fn find_seat(&self, cut_off: &CutOff, now: Instant) -> Found {
        let mut state = self.0.lock();
        if state.open < state.most {
            state.open += 1;
            let waits = state.rest(false, now, cut_off.clone());
            return Found::Seat(Seat(Place(Arc::new(Held {
                shared: Arc::clone(&self.0),
                cut_off: cut_off.clone(),
                stage: Mutex::new(waits),
            }))));
        }
        if state.open - state.giving_way < state.most {
            return Found::Nothing(None);
        }
        if let Some(oldest) = state.idle.take_one(now) {
            state.giving_way += 1;
            metrics::counter!("gateway_connections_displaced_total").increment(1);
            oldest.cut();
            return Found::Nothing(None);
        }
        state.tell_that_none_gives_way(now);
        Found::Nothing(state.idle.first_at())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One begins to be without a request.
    fn rest(&mut self, was_served: bool, now: Instant, cut_off: CutOff) -> Stage {
        self.next += 1;
        let since = (now, self.next);
        self.idle.of(was_served).insert(since, cut_off);
        Stage::Idle {
            was_served,
            since,
            head_since: None,
        }
    }

    fn tell_that_none_gives_way(&mut self, now: Instant) {
        if self.told_at.is_none_or(|at| now - at >= TELL_AGAIN) {
            self.told_at = Some(now);
            tracing::warn!(
                connections = self.most,
                "All connections that there may be are being served, or were a moment ago, and the next ones wait: raise the \
                 limit of file descriptors (ulimit -n), or add a replica"
            );
        }
    }
}

/// The place of a connection, for whoever attends to it. Given up when it is dropped, which is after the connection's end.
#[derive(Debug)]
pub struct Seat(Place);

impl Seat {
    /// The same place, for whoever sees what passes on the connection.
    #[must_use]
    pub fn place(&self) -> Place {
        self.0.clone()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Held { shared, stage, .. } = &*self.0.0;
        let last = std::mem::replace(&mut *lock(stage), Stage::Ended);
        let mut state = shared.lock();
        state.open -= 1;
        if let Stage::Idle {
            was_served, since, ..
        } = last
            && state.idle.of(was_served).remove(&since).is_none()
        {
            state.giving_way -= 1;
        }
        drop(state);
        shared.changed.notify_one();
    }
}

/// What a connection is doing. Clones are of the same connection.
#[derive(Debug, Clone)]
pub struct Place(Arc<Held>);

#[derive(Debug)]
struct Held {
    shared: Arc<Shared>,
    cut_off: CutOff,
    stage: Mutex<Stage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It waits for a request, unless it is not among the idle ones any more: then it gives way.
    Idle {
        was_served: bool,
        since: Since,
        /// When the head of one began to come.
        head_since: Option<Instant>,
    },
    /// There is a request, or the last answer has not left.
    Serving {
        /// So many are not through. Of one that was answered somebody may still have the body when the next one begins.
        requests: usize,
        /// That of the last of them.
        answer: AnswerIs,
    },
    /// The connection has ended.
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AnswerIs {
    /// Not all of it has been handed to the connection. What leaves meanwhile is something else, or a part of it.
    Due,
    HandedOver,
    /// The system has all of it.
    Left,
}

impl Place {
    /// Whether there is no request.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(*lock(&self.0.stage), Stage::Idle { .. })
    }

    /// A request begins, unless the connection gives way.
    #[must_use]
    pub fn begin(&self) -> Option<Serving> {
        let mut stage = lock(&self.0.stage);
        let before = match *stage {
            Stage::Idle {
                was_served, since, ..
            } => {
                let mut shared = self.0.shared.lock();
                shared.idle.of(was_served).remove(&since)?;
                0
            }
            Stage::Serving { requests, .. } => requests,
            Stage::Ended => return None,
        };
        *stage = Stage::Serving {
            requests: before + 1,
            answer: AnswerIs::Due,
        };
        Some(Serving::new(self))
    }

    /// The system has all that was to be sent so far.
    pub fn flushed(&self) {
        self.change(|_, answer| {
            if *answer == AnswerIs::HandedOver {
                *answer = AnswerIs::Left;
            }
        });
    }

    /// Changes what is told of its requests. It rests once all are through and the last answer has left, whichever is later.
    fn change(&self, change: impl FnOnce(&mut usize, &mut AnswerIs)) {
        let mut stage = lock(&self.0.stage);
        let Stage::Serving { requests, answer } = &mut *stage else {
            return;
        };
        change(requests, answer);
        if (*requests, *answer) == (0, AnswerIs::Left) {
            let Held {
                shared, cut_off, ..
            } = &*self.0;
            *stage = shared.lock().rest(true, Instant::now(), cut_off.clone());
            shared.changed.notify_one();
        }
    }
}

fn lock(stage: &Mutex<Stage>) -> MutexGuard<'_, Stage> {
    stage.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(connections: &Connections, now: Instant) -> Option<(Seat, CutOff)> {
        let cut_off = CutOff::default();
        match connections.find_seat(&cut_off, now) {
            Found::Seat(seat) => Some((seat, cut_off)),
            Found::Nothing(_) => None,
        }
    }

    /// When all that are without a request by now may be displaced.
    fn later() -> Instant {
        Instant::now() + GRACE
    }

    /// A request that is answered, and its answer has left.
    fn serve(seat: &Seat) {
        drop(seat.place().begin().unwrap());
        seat.place().flushed();
    }

    #[test]
    fn the_one_that_has_waited_longest_for_its_first_request_gives_way_then_the_one_that_rests_longest()
     {
        let connections = Connections::at_most(4);
        let start = Instant::now();
        let seats: Vec<_> = (0..4).map(|_| seat(&connections, start).unwrap()).collect();
        // The first two have had a request each, and the second was through first.
        let first = seats[0].0.place().begin().unwrap();
        serve(&seats[1].0);
        drop(first);
        seats[0].0.place().flushed();
        let mut seats: Vec<_> = seats.into_iter().map(Some).collect();
        for given_up in [2, 3, 1, 0] {
            assert!(seat(&connections, later()).is_none());
            // One for the one that waits, however often it looks.
            assert!(seat(&connections, later()).is_none());
            let (given, cut_off) = seats[given_up].take().unwrap();
            assert!(cut_off.is_off(), "{given_up}");
            assert!(given.place().begin().is_none());
            drop(given);
            let (new, _) = seat(&connections, later()).unwrap();
            let serving = new.place().begin().unwrap();
            // For as long as it is served.
            std::mem::forget((new, serving));
        }
        assert!(seat(&connections, later()).is_none());
    }

    #[test]
    fn whoever_has_just_come_or_was_just_served_is_displaced_by_nobody() {
        let connections = Connections::at_most(2);
        let start = Instant::now();
        let (rests, resting) = seat(&connections, start).unwrap();
        serve(&rests);
        let now = later();
        // It came long after the other one was served.
        let (_fresh, come) = seat(&connections, now).unwrap();
        let young = connections.find_seat(&CutOff::default(), start);
        let Found::Nothing(Some(again)) = young else {
            panic!("somebody gave way");
        };
        assert!(!resting.is_off());
        assert!((start + GRACE..=now).contains(&again));
        assert!(seat(&connections, again).is_none());
        assert!(resting.is_off());
        drop(rests);
        let (next, _) = seat(&connections, again).unwrap();
        serve(&next);
        // Of those who are old enough, one that never had a request goes first, however late it came.
        let young = connections.find_seat(&CutOff::default(), start);
        assert!(matches!(young, Found::Nothing(Some(_))));
        assert!(!come.is_off());
        assert!(seat(&connections, now + GRACE).is_none());
        assert!(come.is_off());
    }

    #[test]
    fn a_request_is_served_until_its_answer_has_left_and_nobody_has_its_body() {
        let connections = Connections::at_most(1);
        let (only, cut_off) = seat(&connections, Instant::now()).unwrap();
        let place = only.place();
        let is_displaced = || {
            assert!(seat(&connections, later()).is_none());
            cut_off.is_off()
        };
        let asked = || axum::body::Body::from("asked");
        // Flushed without an answer, as leave to send a body is.
        let serving = place.begin().unwrap();
        let body = serving.body(asked());
        place.flushed();
        let answer = serving.answer(asked());
        place.flushed();
        drop(body);
        drop(answer);
        assert!(!place.is_idle() && !is_displaced());
        // The next request comes before that: what leaves then is not its answer, whoever has the body of which.
        let serving = place.begin().unwrap();
        let body = serving.body(asked());
        place.flushed();
        drop(serving);
        let second = place.begin().unwrap();
        place.flushed();
        drop(body);
        assert!(!is_displaced());
        let body = second.body(asked());
        drop(second);
        place.flushed();
        assert!(!is_displaced());
        // Nothing is to be flushed any more.
        drop(body);
        assert!(place.is_idle() && is_displaced());
        drop(only);
        let (next, _) = seat(&connections, later()).unwrap();
        // The end of a connection in the middle of a request leaves nothing behind.
        let serving = next.place().begin().unwrap();
        let place = next.place();
        drop(next);
        drop(serving);
        place.flushed();
        assert!(seat(&connections, later()).is_some());
        let state = connections.0.lock();
        let idle = (state.idle.fresh.len(), state.idle.resting.len());
        assert_eq!((state.open, state.giving_way, idle), (0, 0, (0, 0)));
    }
}
