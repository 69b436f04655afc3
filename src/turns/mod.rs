//! Turns at what only so many can have at once, and nobody alone.
//!
//! Who comes first would be served first, if all were alike. But one tenant may ask for a thousand slow things, and whoever
//! comes after them would wait for all of those. So a tenant gets a turn for as long as it has fewer than are free: one alone
//! gets half of them, and a tenant that has none finds one, unless there are as many tenants as turns. Those who wait stand in
//! a line for each tenant, and the next turn is the line's whose tenant has the fewest. The rule is that of
//! [`Shares`](crate::domain::shares), for which nobody waits.
//!
//! Whose something is may not be known, since a key has not been looked up yet, or is nobody's. All of that is taken for one
//! tenant's.

mod lines;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use self::lines::Lines;
use crate::domain::ids::TenantId;

/// Longer than whatever a caller waits for.
const PATIENT: Duration = Duration::from_hours(24);

/// Whose a turn is. `None`: nobody knows.
pub type By = Option<TenantId>;

/// The turns. Clones are the same.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Mutex<Now>>);

#[derive(Debug)]
struct Now {
    lines: Lines<oneshot::Sender<()>>,
    /// Since when there has always been somebody in a tenant's line.
    short_since: HashMap<By, Instant>,
}

/// A turn. It ends when this is dropped.
#[derive(Debug)]
pub struct Turn(Arc<Held>);

/// By which a turn is paused. Clones are the same turn's.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Held>);

/// A pause of a turn. It ends when this is dropped, also where the caller hangs up.
#[derive(Debug)]
pub struct Pause(Arc<Held>);

#[derive(Debug)]
struct Held {
    turns: Turns,
    /// Locked before the turns.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    by: By,
    /// It is taken while there is none.
    pauses: usize,
    has_ended: bool,
}

/// A turn did not come in time, or too many wait for theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTurn;

/// How much is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// How many have a turn.
    pub taken: usize,
    /// How many wait for theirs.
    pub waiting: usize,
}

impl Turns {
    /// So many at once. So many wait at most, and some places are left to whoever has none.
    #[must_use]
    pub fn new(at_once: usize, most_waiting: usize) -> Self {
        Self(Arc::new(Mutex::new(Now {
            lines: Lines::new(at_once, most_waiting),
            short_since: HashMap::new(),
        })))
    }

    /// Waits for a turn. `patience` is told for how long this tenant has always had somebody waiting, and returns how long this
    /// one waits.
    ///
    /// # Errors
    /// Where it does not come in that time, or too many wait.
    pub async fn enter(
        &self,
        by: By,
        patience: impl FnOnce(Duration) -> Duration,
    ) -> Result<Turn, NoTurn> {
        let queued = {
            let mut now = self.lock();
            // Never ahead of others of the same tenant. Waiting tenants other than this one hold too many turns to get it.
            if !now.lines.is_waited_by(by) && now.lines.is_free_for(by) {
                now.lines.take(by);
                return Ok(self.turn(by));
            }
            let (sender, receiver) = oneshot::channel();
            let number = now.lines.line_up(by, sender).ok_or(NoTurn)?;
            let began_at = Instant::now();
            let since = *now.short_since.entry(by).or_insert(began_at);
            Queued {
                turns: self,
                by,
                number,
                deadline: began_at + patience(began_at - since),
                receiver: Some(receiver),
            }
        };
        queued.wait().await
    }

    /// Waits for a turn, however long it takes. `None`: too many wait.
    pub async fn enter_patiently(&self, by: By) -> Option<Turn> {
        self.enter(by, |_| PATIENT).await.ok()
    }

    /// How much is going on.
    #[must_use]
    pub fn load(&self) -> Load {
        let now = self.lock();
        Load {
            taken: now.lines.taken(),
            waiting: now.lines.waiting(),
        }
    }

    fn turn(&self, by: By) -> Turn {
        Turn(Arc::new(Held {
            turns: self.clone(),
            state: Mutex::new(State {
                by,
                pauses: 0,
                has_ended: false,
            }),
        }))
    }

    fn give_back(&self, by: By) {
        let mut now = self.lock();
        now.lines.give_back(by);
        now.let_in();
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    /// Lets in those who are next, as far as there are turns.
    fn let_in(&mut self) {
        while let Some((by, next)) = self.lines.next() {
            // Whoever is gone has left the line already, or is just about to.
            if next.send(()).is_ok() {
                self.lines.take(by);
            }
            self.note_end_of_line(by);
        }
    }

    fn note_end_of_line(&mut self, by: By) {
        if !self.lines.is_waited_by(by) {
            self.short_since.remove(&by);
        }
    }
}

impl Turn {
    /// By which it is paused.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.0))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.has_ended = true;
        if state.pauses == 0 {
            self.0.turns.give_back(state.by);
        }
    }
}

impl Handle {
    /// Begins a pause: whoever waits for something else leaves the turn to others, and goes on at once after that, since to wait
    /// twice is to be late twice.
    #[must_use]
    pub fn pause(&self) -> Pause {
        let mut state = self.0.lock();
        if state.pauses == 0 && !state.has_ended {
            self.0.turns.give_back(state.by);
        }
        state.pauses += 1;
        Pause(Arc::clone(&self.0))
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.pauses -= 1;
        if state.pauses == 0 && !state.has_ended {
            self.0.turns.lock().lines.take(state.by);
        }
    }
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for a turn.
struct Queued<'a> {
    turns: &'a Turns,
    by: By,
    number: u64,
    deadline: Instant,
    /// `None` once it is let in.
    receiver: Option<oneshot::Receiver<()>>,
}

impl Queued<'_> {
    async fn wait(mut self) -> Result<Turn, NoTurn> {
        let Some(receiver) = &mut self.receiver else {
            return Err(NoTurn);
        };
        let is_let_in = matches!(timeout_at(self.deadline, receiver).await, Ok(Ok(())));
        // It may be let in at the very moment in which its time is up.
        if is_let_in || self.was_let_in() {
            self.receiver = None;
            return Ok(self.turns.turn(self.by));
        }
        Err(NoTurn)
    }

    fn was_let_in(&mut self) -> bool {
        self.receiver.as_mut().is_some_and(|receiver| {
            receiver.close();
            receiver.try_recv().is_ok()
        })
    }
}

impl Drop for Queued<'_> {
    /// Leaves the line: its caller has hung up, or its time is up.
    fn drop(&mut self) {
        if self.receiver.is_none() {
            return;
        }
        if self.was_let_in() {
            // A turn of which nobody learns.
            drop(self.turns.turn(self.by));
            return;
        }
        let mut now = self.turns.lock();
        now.lines.leave(self.by, self.number);
        now.note_end_of_line(self.by);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{future::join_all, poll};
    use uuid::Uuid;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn of(tenant: impl Into<Option<u128>>) -> By {
        let tenant: u128 = tenant.into()?;
        Some(TenantId(Uuid::from_u128(tenant)))
    }

    async fn enter(turns: &Turns, tenant: u128) -> Turn {
        turns.enter(of(tenant), |_| LONG).await.unwrap()
    }

    #[track_caller]
    fn assert_nothing_is_left(turns: &Turns) {
        let load = turns.load();
        assert_eq!((load.taken, load.waiting), (0, 0));
        assert!(turns.lock().short_since.is_empty());
    }

    #[tokio::test]
    async fn a_tenants_requests_get_their_turns_in_the_order_in_which_they_came() {
        let turns = Turns::new(4, 100);
        let order = Mutex::new(Vec::new());
        let all = (0..20).map(|number| {
            let (turns, order) = (&turns, &order);
            async move {
                let turn = enter(turns, 1).await;
                order.lock().unwrap().push(number);
                tokio::task::yield_now().await;
                drop(turn);
            }
        });
        join_all(all).await;
        let order = order.into_inner().unwrap();
        assert!(order.is_sorted(), "{order:?}");
        assert_nothing_is_left(&turns);
    }

    #[tokio::test]
    async fn whoever_has_none_gets_a_turn_at_once_however_many_of_another_wait() {
        let turns = Turns::new(4, 100);
        let _held = [enter(&turns, 1).await, enter(&turns, 1).await];
        let mut greedy: Vec<_> = (0..10).map(|_| Box::pin(enter(&turns, 1))).collect();
        for waits in &mut greedy {
            assert!(poll!(waits).is_pending());
        }
        let mut other = Box::pin(enter(&turns, 2));
        assert!(poll!(&mut other).is_ready());
    }

    #[tokio::test]
    async fn the_next_turn_goes_to_the_line_whose_tenant_has_the_fewest() {
        let turns = Turns::new(1, 100);
        let held = enter(&turns, 1).await;
        let mut greedy = Box::pin(enter(&turns, 1));
        let mut other = Box::pin(enter(&turns, 2));
        assert!(poll!(&mut greedy).is_pending());
        assert!(poll!(&mut other).is_pending());
        // Whoever came first of those that have none.
        drop(held);
        let first = greedy.await;
        assert!(poll!(&mut other).is_pending());
        let mut more = Box::pin(enter(&turns, 1));
        assert!(poll!(&mut more).is_pending());
        drop(first);
        drop(other.await);
        drop(more.await);
        assert_nothing_is_left(&turns);
    }

    #[tokio::test]
    async fn patience_ends_and_depends_on_how_long_turns_have_been_short_for_the_tenant() {
        let turns = Turns::new(1, 100);
        let turn = enter(&turns, 1).await;
        let mut heard = Vec::new();
        let refused = turns.enter(of(1), |short_for| {
            heard.push(short_for);
            Duration::from_millis(20)
        });
        assert_eq!(refused.await.unwrap_err(), NoTurn);
        let mut waits = Box::pin(enter(&turns, 1));
        assert!(poll!(&mut waits).is_pending());
        tokio::time::sleep(Duration::from_millis(20)).await;
        for tenant in [1, 2] {
            let refused = turns.enter(of(tenant), |short_for| {
                heard.push(short_for);
                Duration::ZERO
            });
            assert_eq!(refused.await.unwrap_err(), NoTurn);
        }
        assert!(heard[0].is_zero() && heard[2].is_zero(), "{heard:?}");
        assert!(heard[1] >= Duration::from_millis(20), "{heard:?}");
        drop(turn);
        drop(waits.await);
        assert_nothing_is_left(&turns);
    }

    #[tokio::test]
    async fn whoever_hangs_up_leaves_the_line_and_takes_no_turn_along() {
        let turns = Turns::new(1, 100);
        let turn = enter(&turns, 1).await;
        let mut gone = Box::pin(enter(&turns, 1));
        let mut left = Box::pin(enter(&turns, 1));
        assert!(poll!(&mut gone).is_pending());
        assert!(poll!(&mut left).is_pending());
        drop(gone);
        // It is let in, and never learns of it.
        drop(turn);
        drop(left);
        assert_nothing_is_left(&turns);
    }

    #[tokio::test]
    async fn whoever_pauses_lets_the_next_one_in_and_goes_on_at_once() {
        let turns = Turns::new(1, 100);
        let first = enter(&turns, 1).await;
        let mut second = Box::pin(enter(&turns, 1));
        assert!(poll!(&mut second).is_pending());
        let pauses = [first.handle().pause(), first.handle().pause()];
        let second = second.await;
        assert_eq!(turns.load().taken, 1);
        drop(pauses);
        assert_eq!(turns.load().taken, 2);
        let pause = second.handle().pause();
        // A turn that ends within its pause.
        drop(second);
        drop(pause);
        drop(first);
        assert_nothing_is_left(&turns);
    }
}
