//! How many connections are open at once, and which of them gives way.
//!
//! Each holds a file descriptor, and the process has so many (`ulimit -n`): for Postgres, for Gladia, for receivers and for the
//! spool as well. Whoever opens connections and asks for nothing on them, for which it takes no key, would have them all, and
//! then nothing got in any more: no caller, no callback, no probe. So each listener has a bound. Where it is full, a new
//! connection takes the place of the one that has been without a request for longest, its head not being complete: first of those
//! that never had one, then of those that rest between two. So whoever is there for a request, and sends it at once, is
//! displaced by nobody. A connection that is being served, as one with a stream is, stays for as long as that takes. Where all
//! are being served, the next ones wait until one is through.

mod bounds;

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::body::HttpBody;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;

pub use self::bounds::{Bounds, Wanted, raise_file_limit};
use super::serve::CutOff;

/// How often it is said at most that all connections are being served.
const TELL_AGAIN: Duration = Duration::from_mins(1);

/// The connections of a listener. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// One has ended or has begun to rest.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    most: usize,
    open: usize,
    /// Those that were told to end, and have not yet.
    giving_way: usize,
    /// Those without a request, in the order in which they are to give way.
    idle: BTreeMap<Since, CutOff>,
    next: u64,
    told_at: Option<Instant>,
}

/// Whether it has had a request, and the turn at which it began to be without one.
type Since = (bool, u64);

impl Connections {
    /// None so far, and never more than so many.
    #[must_use]
    pub fn at_most(most: usize) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                most: most.max(1),
                open: 0,
                giving_way: 0,
                idle: BTreeMap::new(),
                next: 0,
                told_at: None,
            }),
            changed: Notify::new(),
        }))
    }

    /// Waits for a place for one that was accepted, which another one may have to give up. For one who waits at a time.
    pub async fn seat(&self, cut_off: &CutOff) -> Seat {
        loop {
            if let Some(seat) = self.find_seat(cut_off) {
                return seat;
            }
            self.0.changed.notified().await;
        }
    }

    fn find_seat(&self, cut_off: &CutOff) -> Option<Seat> {
        let mut state = self.0.lock();
        if state.open < state.most {
            state.open += 1;
            let waits = state.rest(false, cut_off.clone());
            return Some(Seat(Place(Arc::new(Held {
                shared: Arc::clone(&self.0),
                cut_off: cut_off.clone(),
                stage: Mutex::new(waits),
            }))));
        }
        if state.open - state.giving_way == state.most {
            match state.idle.pop_first() {
                Some((_, oldest)) => {
                    state.giving_way += 1;
                    metrics::counter!("gateway_connections_displaced_total").increment(1);
                    oldest.now();
                }
                None => state.tell_that_all_are_served(),
            }
        }
        None
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One begins to be without a request.
    fn rest(&mut self, was_served: bool, cut_off: CutOff) -> Stage {
        self.next += 1;
        let since = (was_served, self.next);
        self.idle.insert(since, cut_off);
        Stage::Idle(since)
    }

    fn tell_that_all_are_served(&mut self) {
        if self.told_at.is_none_or(|at| at.elapsed() >= TELL_AGAIN) {
            self.told_at = Some(Instant::now());
            tracing::warn!(
                connections = self.most,
                "All connections that there may be are being served, and the next ones wait: raise the limit of file descriptors \
                 (ulimit -n), or add a replica"
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
        if let Stage::Idle(since) = last
            && state.idle.remove(&since).is_none()
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
    /// It waits for a request, unless its turn is not among the idle ones any more: then it gives way.
    Idle(Since),
    /// So many requests are not through. Of one that was answered somebody may still have the body when the next one begins.
    Serving(usize),
    /// All are through, and the last answer may not have left.
    Served,
    /// The connection has ended.
    Ended,
}

impl Place {
    /// Whether there is no request.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(*lock(&self.0.stage), Stage::Idle(_))
    }

    /// A request begins, unless the connection gives way.
    #[must_use]
    pub fn begin(&self) -> Option<Serving> {
        let mut stage = lock(&self.0.stage);
        *stage = match *stage {
            Stage::Idle(since) => {
                self.0.shared.lock().idle.remove(&since)?;
                Stage::Serving(1)
            }
            Stage::Serving(requests) => Stage::Serving(requests + 1),
            Stage::Served => Stage::Serving(1),
            Stage::Ended => return None,
        };
        Some(Serving(Arc::new(Request(self.clone()))))
    }

    /// The system has all that was to be sent.
    pub fn flushed(&self) {
        let mut stage = lock(&self.0.stage);
        if *stage == Stage::Served {
            *stage = self.0.shared.lock().rest(true, self.0.cut_off.clone());
            self.0.shared.changed.notify_one();
        }
    }

    fn end_request(&self) {
        let mut stage = lock(&self.0.stage);
        *stage = match *stage {
            Stage::Serving(1) => Stage::Served,
            Stage::Serving(requests) => Stage::Serving(requests - 1),
            other => other,
        };
    }
}

fn lock(stage: &Mutex<Stage>) -> MutexGuard<'_, Stage> {
    stage.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that is being served, until this is gone and all bodies that belong to it are.
#[derive(Debug)]
pub struct Serving(Arc<Request>);

#[derive(Debug)]
struct Request(Place);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.end_request();
    }
}

impl Serving {
    /// A body that belongs to the request.
    pub fn body<B: HttpBody>(&self, body: B) -> ServedBody<B> {
        let request = (!body.is_end_stream()).then(|| Arc::clone(&self.0));
        ServedBody {
            body,
            _request: request,
        }
    }
}

/// A body of a request or of its answer.
#[derive(Debug)]
pub struct ServedBody<B> {
    body: B,
    _request: Option<Arc<Request>>,
}

impl<B: HttpBody + Unpin> HttpBody for ServedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn seat(connections: &Connections) -> Option<(Seat, CutOff)> {
        let cut_off = CutOff::default();
        let seat = connections.seat(&cut_off).now_or_never()?;
        Some((seat, cut_off))
    }

    #[test]
    fn the_one_that_has_waited_longest_for_its_first_request_gives_way_then_the_one_that_rests_longest()
     {
        let connections = Connections::at_most(4);
        let seats: Vec<_> = (0..4).map(|_| seat(&connections).unwrap()).collect();
        // The first two have had a request each, and the second was through first.
        let first = seats[0].0.place().begin().unwrap();
        drop(seats[1].0.place().begin().unwrap());
        seats[1].0.place().flushed();
        drop(first);
        seats[0].0.place().flushed();
        let mut seats: Vec<_> = seats.into_iter().map(Some).collect();
        for given_up in [2, 3, 1, 0] {
            assert!(seat(&connections).is_none());
            // One for the one that waits, however often it looks.
            assert!(seat(&connections).is_none());
            let (given, cut_off) = seats[given_up].take().unwrap();
            assert!(cut_off.is_off(), "{given_up}");
            assert!(given.place().begin().is_none());
            drop(given);
            let (new, _) = seat(&connections).unwrap();
            let serving = new.place().begin().unwrap();
            // For as long as it is served.
            std::mem::forget((new, serving));
        }
        assert!(seat(&connections).is_none());
    }

    #[test]
    fn a_request_is_served_until_its_answer_has_left_and_nobody_has_its_body() {
        let connections = Connections::at_most(1);
        let (only, cut_off) = seat(&connections).unwrap();
        let place = only.place();
        let serving = place.begin().unwrap();
        let body = serving.body(axum::body::Body::from("asked"));
        place.flushed();
        assert!(seat(&connections).is_none());
        drop(serving);
        place.flushed();
        assert!(seat(&connections).is_none());
        drop(body);
        assert!(seat(&connections).is_none());
        assert!(!cut_off.is_off());
        place.flushed();
        assert!(seat(&connections).is_none());
        assert!(cut_off.is_off());
        drop(only);
        let (next, _) = seat(&connections).unwrap();
        // The end of a connection in the middle of a request leaves nothing behind.
        let serving = next.place().begin().unwrap();
        let place = next.place();
        drop(next);
        drop(serving);
        place.flushed();
        assert!(seat(&connections).is_some());
        let state = connections.0.lock();
        assert_eq!((state.open, state.giving_way, state.idle.len()), (0, 0, 0));
    }
}
