//! How many requests are worked on at once, whose, and who is next.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    bodies::{Bodies, Held},
    refusals::{Overload, Refusals},
    turn::Turn,
};
use crate::turns::{self, By, Turns};

/// How long a request waits for its turn where its tenant's turns have not been short for longer than this: a burst.
const BURST: Duration = Duration::from_secs(1);

/// How long where they have been. More would make everybody late, and let nobody in who is not let in anyway.
const MOMENT: Duration = Duration::from_millis(30);

/// How many wait at most. Each holds a connection and little else.
const MOST_QUEUED: usize = 10_000;

/// How many keys are looked up at once that have not been seen yet. Twice what they get, being nobody's.
const KEY_CHECKS_AT_ONCE: usize = 16;

/// How many streams are opened at once.
const STREAMS_AT_ONCE: usize = 16;

/// Where requests of the API wait for their turn. Clones are the same.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    requests: Turns,
    key_checks: Turns,
    streams: Turns,
    bodies: Mutex<Bodies>,
    refusals: Refusals,
}

impl Gate {
    /// A gate that lets so many requests through at once, with so many bytes in their bodies.
    #[must_use]
    pub fn new(at_once: usize, body_bytes: usize) -> Self {
        Self(Arc::new(Shared {
            requests: Turns::new(at_once, MOST_QUEUED),
            key_checks: Turns::new(KEY_CHECKS_AT_ONCE, MOST_QUEUED),
            streams: Turns::new(STREAMS_AT_ONCE, usize::MAX),
            bodies: Mutex::new(Bodies::new(body_bytes)),
            refusals: Refusals::default(),
        }))
    }

    /// Waits until a stream may be opened.
    pub async fn open_stream(&self, by: By) -> Option<turns::Turn> {
        // Without one it would only be less polite.
        self.0.streams.enter_patiently(by).await
    }

    /// Waits for the turn to look up whose the key of a request is. `None`: it does not come soon.
    pub async fn check_key(&self) -> Option<turns::Turn> {
        self.0.key_checks.enter(None, |_| BURST).await.ok()
    }

    /// Waits for a request's turn.
    ///
    /// # Errors
    /// Where it does not come soon, or there is no room for the body.
    pub async fn enter(&self, body: Held) -> Result<Turn, Overload> {
        if !self.lock().try_hold(body) {
            return Err(self.refuse(Overload::Bodies));
        }
        // Given back with it, also where its turn does not come or its caller hangs up before.
        let bytes = Turn::bytes_of(self, body);
        let turn = self.0.requests.enter(body.by, patience).await;
        match turn {
            Ok(turn) => Ok(Turn::new(turn, bytes)),
            Err(turns::NoTurn) => Err(self.refuse(Overload::Turns)),
        }
    }

    /// Takes more room for a body that holds so much already. Whether there was any.
    pub(super) fn try_hold_more(&self, held: usize, more: Held) -> bool {
        let has_room = self.lock().try_hold_more(held, more);
        if !has_room {
            self.refuse(Overload::Bodies);
        }
        has_room
    }

    /// Gives bytes back whose request goes on.
    pub(super) fn give_back(&self, body: Held) {
        self.lock().let_go(body);
    }

    /// Counts a refusal, and says now and then that there are some.
    fn refuse(&self, overload: Overload) -> Overload {
        if self.0.refusals.count(overload) {
            let load = self.0.requests.load();
            tracing::warn!(
                reason = overload.as_str(),
                working = load.taken,
                queued = load.waiting,
                "Overloaded: requests are answered 503"
            );
        }
        overload
    }

    fn lock(&self) -> MutexGuard<'_, Bodies> {
        self.0.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a turn is waited for by whoever belongs to a tenant whose turns have been short for so long.
fn patience(short_for: Duration) -> Duration {
    if short_for < BURST { BURST } else { MOMENT }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::Instant;
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::TenantId;

    fn of(tenant: u128, bytes: usize) -> Held {
        let by = Some(TenantId(Uuid::from_u128(tenant)));
        Held { by, bytes }
    }

    fn gate(at_once: usize) -> Gate {
        Gate::new(at_once, 1000)
    }

    #[tokio::test]
    async fn whoever_waits_longer_than_a_burst_lasts_is_refused_and_later_ones_sooner() {
        let gate = gate(1);
        let turn = gate.enter(of(1, 0)).await.unwrap();
        let begun = Instant::now();
        // Somebody is always in the line.
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
    async fn whoever_gets_no_turn_or_hangs_up_leaves_the_room_of_its_body_to_others() {
        let gate = gate(1);
        let turn = gate.enter(of(1, 10)).await.unwrap();
        let mut waits = Box::pin(gate.enter(of(1, 10)));
        assert!(futures_util::poll!(&mut waits).is_pending());
        assert_eq!(gate.lock().held(), 20);
        assert_eq!(gate.enter(of(1, 5)).await.unwrap_err(), Overload::Turns);
        assert_eq!(gate.lock().held(), 20);
        drop(waits);
        assert_eq!(gate.lock().held(), 10);
        drop(turn);
        assert_eq!(gate.lock().held(), 0);
    }

    #[tokio::test]
    async fn bodies_are_bounded_together_and_one_alone_gets_through() {
        let gate = gate(50);
        let large = gate.enter(of(1, 5000)).await.unwrap();
        assert_eq!(gate.enter(of(1, 1)).await.unwrap_err(), Overload::Bodies);
        drop(gate.enter(of(1, 0)).await.unwrap());
        drop(large);
        let small = gate.enter(of(1, 600)).await.unwrap();
        let other = gate.enter(of(2, 400)).await.unwrap();
        assert_eq!(gate.enter(of(3, 1)).await.unwrap_err(), Overload::Bodies);
        drop((small, other));
        assert_eq!(gate.lock().held(), 0);
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
        assert_eq!(gate.lock().held(), 0);
    }
}
