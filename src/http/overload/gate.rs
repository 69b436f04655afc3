//! How many requests are worked on at once, and who is next.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    bodies::{Bodies, Held},
    refusals::{Overload, Refusals},
    turn::Turn,
};
use crate::http::wait::WaitingRoom;

/// How long a request waits for its turn where turns have not been short for longer than this: a burst.
const BURST: Duration = Duration::from_secs(1);

/// How long where they have been. More would make everybody late, and let nobody in who is not let in anyway.
const MOMENT: Duration = Duration::from_millis(30);

/// How many wait at most. Each holds a connection and little else.
const MOST_QUEUED: usize = 10_000;

/// How often whoever waits looks whether others began to wait for news, of which nobody tells.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How many streams are opened at once.
const STREAMS_AT_ONCE: usize = 16;

/// Where requests of the API wait for their turn. Clones are the same.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    at_once: usize,
    /// Who waits for news is not worked on.
    room: WaitingRoom,
    streams: Semaphore,
    refusals: Refusals,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    /// Who has a turn, apart from those that wait for their bodies. Below nothing for the instant in which a turn ends
    /// before its pause does.
    working: isize,
    /// By the order in which they came.
    queue: BTreeMap<u64, oneshot::Sender<()>>,
    next_number: u64,
    /// Since when there has always been somebody in the queue.
    short_since: Option<Instant>,
    bodies: Bodies,
}

impl Gate {
    /// A gate that lets so many requests through at once, with so many bytes in their bodies.
    #[must_use]
    pub fn new(at_once: usize, body_bytes: usize, room: WaitingRoom) -> Self {
        Self(Arc::new(Shared {
            at_once,
            room,
            streams: Semaphore::new(STREAMS_AT_ONCE),
            refusals: Refusals::default(),
            now: Mutex::new(Now {
                bodies: Bodies::new(body_bytes),
                ..Now::default()
            }),
        }))
    }

    /// Waits until a stream may be opened.
    pub async fn open_stream(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        self.0.streams.acquire().await.ok()
    }

    /// Waits for a request's turn.
    ///
    /// # Errors
    /// Where it does not come soon, or there is no room for the body.
    pub async fn enter(&self, body: Held) -> Result<Turn, Overload> {
        let queued = {
            let mut now = self.lock();
            if !now.bodies.have_room_for(body) {
                return Err(self.refuse(now, Overload::Bodies));
            }
            if now.queue.is_empty() && self.has_turn(&now) {
                now.working += 1;
                now.bodies.hold(body);
                return Ok(self.turn(body));
            }
            if now.queue.len() >= MOST_QUEUED {
                return Err(self.refuse(now, Overload::Turns));
            }
            let since = *now.short_since.get_or_insert_with(Instant::now);
            let patience = if since.elapsed() < BURST {
                BURST
            } else {
                MOMENT
            };
            let number = now.next_number;
            now.next_number += 1;
            now.bodies.hold(body);
            let (sender, receiver) = oneshot::channel();
            now.queue.insert(number, sender);
            Queued {
                gate: self,
                number,
                body,
                deadline: Instant::now() + patience,
                receiver: Some(receiver),
            }
        };
        queued.wait().await
    }

    fn turn(&self, body: Held) -> Turn {
        Turn::new(self.clone(), body)
    }

    fn has_turn(&self, now: &Now) -> bool {
        let waiting = isize::try_from(self.0.room.taken()).unwrap_or(isize::MAX);
        let at_once = isize::try_from(self.0.at_once).unwrap_or(isize::MAX);
        now.working.saturating_sub(waiting) < at_once
    }

    /// Lets in whoever is next, as far as there are turns.
    fn let_in(&self, now: &mut Now) {
        while self.has_turn(now)
            && let Some((_, next)) = now.queue.pop_first()
        {
            // Whoever is gone has left the queue already, or is just about to.
            if next.send(()).is_ok() {
                now.working += 1;
            }
        }
        if now.queue.is_empty() {
            now.short_since = None;
        }
    }

    /// Begins or ends a pause of somebody's turn.
    pub(super) fn pause(&self, is_paused: bool) {
        let mut now = self.lock();
        if is_paused {
            now.working -= 1;
            self.let_in(&mut now);
        } else {
            now.working += 1;
        }
    }

    /// Gives bytes back whose request goes on.
    pub(super) fn give_back(&self, body: Held) {
        self.lock().bodies.let_go(body);
    }

    fn look_again(&self) {
        let mut now = self.lock();
        self.let_in(&mut now);
    }

    /// Ends a turn. The bytes of its body are given back by themselves.
    pub(super) fn end(&self) {
        let mut now = self.lock();
        now.working -= 1;
        self.let_in(&mut now);
    }

    /// Counts a refusal, and says now and then that there are some.
    fn refuse(&self, now: MutexGuard<'_, Now>, overload: Overload) -> Overload {
        let (working, queued) = (now.working, now.queue.len());
        drop(now);
        if self.0.refusals.count(overload) {
            tracing::warn!(
                reason = overload.as_str(),
                working,
                queued,
                waiting = self.0.room.taken(),
                "Overloaded: requests are answered 503"
            );
        }
        overload
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits for its turn.
struct Queued<'a> {
    gate: &'a Gate,
    number: u64,
    body: Held,
    deadline: Instant,
    /// `None` once it is let in.
    receiver: Option<oneshot::Receiver<()>>,
}

impl Queued<'_> {
    async fn wait(mut self) -> Result<Turn, Overload> {
        loop {
            let Some(receiver) = &mut self.receiver else {
                return Err(Overload::Turns);
            };
            let look_at = self.deadline.min(Instant::now() + LOOK_AGAIN);
            if let Ok(Ok(())) = timeout_at(look_at, receiver).await {
                self.receiver = None;
                return Ok(self.gate.turn(self.body));
            }
            self.gate.look_again();
            if Instant::now() >= self.deadline {
                // It may be let in at this moment.
                if self.was_let_in() {
                    self.receiver = None;
                    return Ok(self.gate.turn(self.body));
                }
                let gate = self.gate;
                drop(self);
                return Err(gate.refuse(gate.lock(), Overload::Turns));
            }
        }
    }

    fn was_let_in(&mut self) -> bool {
        self.receiver.as_mut().is_some_and(|receiver| {
            receiver.close();
            receiver.try_recv().is_ok()
        })
    }
}

impl Drop for Queued<'_> {
    /// Leaves the queue: its caller has hung up, or its time is up.
    fn drop(&mut self) {
        if self.receiver.is_none() {
            return;
        }
        if self.was_let_in() {
            // A turn of which nobody learns.
            drop(self.gate.turn(self.body));
            return;
        }
        let mut now = self.gate.lock();
        now.queue.remove(&self.number);
        now.bodies.let_go(self.body);
        if now.queue.is_empty() {
            now.short_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::TenantId;

    fn of(tenant: u128, bytes: usize) -> Held {
        let by = Some(TenantId(Uuid::from_u128(tenant)));
        Held { by, bytes }
    }

    fn gate(at_once: usize) -> Gate {
        Gate::new(at_once, 1000, WaitingRoom::new(1))
    }

    #[tokio::test]
    async fn a_burst_gets_its_turns_in_the_order_in_which_it_came() {
        let gate = gate(2);
        let order = Mutex::new(Vec::new());
        let all = (0..20).map(|number| {
            let (gate, order) = (&gate, &order);
            async move {
                let turn = gate.enter(of(1, 10)).await.unwrap();
                order.lock().unwrap().push(number);
                tokio::task::yield_now().await;
                drop(turn);
            }
        });
        join_all(all).await;
        let order = order.into_inner().unwrap();
        assert!(order.is_sorted(), "{order:?}");
        let now = gate.lock();
        assert_eq!((now.working, now.bodies.held()), (0, 0));
        assert_eq!(now.short_since, None);
    }

    #[tokio::test]
    async fn whoever_waits_longer_than_a_burst_lasts_is_refused_and_later_ones_sooner() {
        let gate = gate(1);
        let turn = gate.enter(of(1, 0)).await.unwrap();
        let begun = Instant::now();
        // Somebody is always in the queue.
        let (one, two) = tokio::join!(gate.enter(of(1, 0)), async {
            tokio::time::sleep(BURST / 2).await;
            let second = gate.enter(of(1, 0));
            let third = async {
                tokio::time::sleep(BURST * 3 / 4).await;
                let asked = Instant::now();
                (gate.enter(of(1, 0)).await.map(drop), asked.elapsed())
            };
            tokio::join!(second, third)
        });
        let (second, (third, third_took)) = two;
        assert_eq!(one.unwrap_err(), Overload::Turns);
        assert_eq!(second.unwrap_err(), Overload::Turns);
        assert_eq!(third.unwrap_err(), Overload::Turns);
        assert!(begun.elapsed() >= BURST);
        assert!(third_took < BURST, "{third_took:?}");
        drop(turn);
        gate.enter(of(1, 0)).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_hangs_up_leaves_the_queue_and_takes_no_turn_along() {
        let gate = gate(1);
        let turn = gate.enter(of(1, 10)).await.unwrap();
        let mut left = Box::pin(gate.enter(of(1, 10)));
        assert!(futures_util::poll!(&mut left).is_pending());
        // It is let in, and never learns of it.
        drop(turn);
        drop(left);
        let now = gate.lock();
        assert_eq!((now.working, now.bodies.held()), (0, 0));
        assert!(now.queue.is_empty());
    }

    #[tokio::test]
    async fn whoever_pauses_lets_the_next_one_in() {
        let gate = gate(1);
        let first = gate.enter(of(1, 0)).await.unwrap();
        let pauses = first.pauses();
        let mut second = Box::pin(gate.enter(of(1, 0)));
        assert!(futures_util::poll!(&mut second).is_pending());
        pauses.set(true);
        let second = second.await.unwrap();
        pauses.set(false);
        drop((first, second));
        assert_eq!(gate.lock().working, 0);
    }

    #[tokio::test]
    async fn bodies_are_bounded_together_and_one_alone_gets_through() {
        let gate = gate(5);
        let large = gate.enter(of(1, 5000)).await.unwrap();
        assert_eq!(gate.enter(of(1, 1)).await.unwrap_err(), Overload::Bodies);
        drop(gate.enter(of(1, 0)).await.unwrap());
        drop(large);
        let small = gate.enter(of(1, 600)).await.unwrap();
        let other = gate.enter(of(2, 400)).await.unwrap();
        assert_eq!(gate.enter(of(3, 1)).await.unwrap_err(), Overload::Bodies);
        drop((small, other));
        assert_eq!(gate.lock().bodies.held(), 0);
    }

    #[tokio::test]
    async fn whoever_has_many_bodies_leaves_as_much_to_others() {
        let gate = gate(100);
        let mut held: Vec<_> = join_all((0..5).map(|_| gate.enter(of(1, 100)))).await;
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(gate.enter(of(1, 100)).await.unwrap_err(), Overload::Bodies);
        held.extend(join_all((0..2).map(|_| gate.enter(of(2, 100)))).await);
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(gate.enter(of(2, 100)).await.unwrap_err(), Overload::Bodies);
        // Something for whoever comes for the first time.
        held.push(gate.enter(of(3, 300)).await);
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(gate.enter(of(4, 1)).await.unwrap_err(), Overload::Bodies);
        drop(held);
        assert_eq!(gate.lock().bodies.held(), 0);
    }
}
