//! What Gladia and the network do.

use crate::{
    state::{Attempt, State, Upstream, Worker},
    world::{List, MAX_AGE, SEND_WINDOW, SETTLING, World},
};

/// The bytes of a create leave.
pub fn send(state: &mut State, index: usize) {
    let attempt = &mut state.attempts[index];
    attempt.worker = Worker::Waiting;
    attempt.upstream = Upstream::OnItsWay(0);
}

/// The same from a process that stood still in the window.
pub fn send_after_freeze(state: &mut State, index: usize) {
    state.attempts[index].late = state.attempts[index].age >= SEND_WINDOW;
    send(state, index);
}

/// A request arrives, and Gladia takes it.
pub fn accept(state: &mut State, world: &World, index: usize) {
    let attempt = &mut state.attempts[index];
    attempt.upstream = Upstream::Working;
    attempt.listed_for = 0;
    if matches!(world.list, List::Lags(_)) {
        state.list.push(index);
    }
}

/// A job of Gladia's ends, and its callback sets out.
pub fn finish(state: &mut State, world: &World, index: usize, succeeded: bool) {
    let attempt = &mut state.attempts[index];
    attempt.upstream = if succeeded {
        Upstream::Succeeded
    } else {
        Upstream::Failed
    };
    attempt.callbacks = world.callbacks;
}

/// Time passes, for everything that measures it. What has been under way for the settling time is lost.
pub fn tick(state: &mut State, world: &World) {
    let lag = match world.list {
        List::Lags(ticks) => ticks,
        List::Unused | List::Blind => 0,
    };
    let State { attempts, list, .. } = state;
    for (index, attempt) in attempts.iter_mut().enumerate() {
        attempt.upstream = match attempt.upstream {
            Upstream::OnItsWay(ticks) if ticks >= SETTLING => Upstream::Nothing,
            Upstream::OnItsWay(ticks) => Upstream::OnItsWay(ticks + 1),
            other => other,
        };
        if attempt.is_sought() {
            attempt.age = (attempt.age + 1).min(MAX_AGE);
        } else if matches!(attempt.worker, Worker::Claimed | Worker::Frozen) {
            attempt.age = (attempt.age + 1).min(SEND_WINDOW);
        }
        if list.contains(&index) {
            attempt.listed_for = (attempt.listed_for + 1).min(lag);
        }
    }
}

/// How much of the list a look shows at least: all up to what has been in it for as long as it may lag behind.
pub fn must_show(state: &State, world: &World) -> usize {
    match world.list {
        List::Unused | List::Blind => 0,
        List::Lags(ticks) => state
            .list
            .iter()
            .rposition(|index| state.attempts[*index].listed_for >= ticks)
            .map_or(0, |position| position + 1),
    }
}

/// How much of it a look shows at most.
pub fn may_show(state: &State, world: &World) -> usize {
    match world.list {
        List::Unused | List::Blind => 0,
        List::Lags(_) => state.list.len(),
    }
}

impl World {
    /// Whether an attempt's result can be had without its callback, once there is one.
    pub fn can_be_asked_for(&self, attempt: &Attempt) -> bool {
        self.keeps_results && (attempt.id_known || matches!(self.list, List::Lags(_)))
    }

    /// Whether nothing but a callback can tell anything of an attempt any more.
    pub fn is_silent_for_good(&self, attempt: &Attempt) -> bool {
        match attempt.upstream {
            Upstream::OnItsWay(_) | Upstream::Working => false,
            Upstream::Nothing | Upstream::Refused => true,
            Upstream::Succeeded | Upstream::Failed => !self.can_be_asked_for(attempt),
        }
    }
}
