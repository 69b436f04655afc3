//! What has to hold.

use gladia_gateway::domain::{
    attempt::AttemptState,
    job::JobStatus::{Canceled, Done, Error, Queued},
    settling::ABSENCES,
};
use stateright::{Model, Property};

use crate::{
    gateway,
    state::{JOBS, State, Upstream, Worker},
    world::{List, MAX_AGE, World},
};

/// Gladia has at most one job for each, outside the named exceptions and without its caller's word.
pub const ONCE: &str = "no job reaches Gladia twice";
/// Nothing that must not happen happened.
pub const SOUND: &str = "every move is a legal one";
/// A job that is done has a result, and one that has failed has none that was delivered.
pub const TRUTHFUL: &str = "done means a success, and no success is overwritten";
/// The cap holds.
pub const CAP: &str = "the cap is never passed";
/// Where nothing can happen any more, everything has an end.
pub const SETTLED: &str = "no slot leaks and no result is lost";
/// At most one job is doubled, whatever the list does.
pub const ONE_DOUBLED: &str = "at most one job reaches Gladia twice";

/// A named exception happens, and costs what it is said to cost.
pub const DOUBLED_BY_EXCEPTION: &str = "an exception doubles a job";
/// A job is tried again, and the attempt from before completes it.
pub const LATE: &str = "an attempt from before a retry completes its job";
/// An attempt is settled by looks, and its job is sent again.
pub const SENT_AGAIN: &str = "a job is sent again and done";

/// The properties of a check.
pub fn all(world: &World) -> Vec<Property<World>> {
    let mut all: Vec<Property<World>> = vec![
        Property::always(SOUND, |_: &World, state: &State| state.broken.is_none()),
        Property::always(TRUTHFUL, |_: &World, state: &State| is_truthful(state)),
        Property::always(CAP, |world: &World, state: &State| {
            state.slots_held() <= world.cap
                && (is_any_excepted(state) || at_work(state) <= world.cap)
        }),
        Property::always(SETTLED, |world: &World, state: &State| {
            !is_over(world, state) || is_settled(world, state)
        }),
    ];
    if world.list == List::Blind {
        // A list that never shows anything is an exception by itself.
        all.push(Property::always(ONE_DOUBLED, |_: &World, state: &State| {
            (0..JOBS)
                .filter(|job| times_accepted(state, *job) > 1)
                .count()
                <= 1
        }));
    } else {
        all.push(Property::always(ONCE, |world: &World, state: &State| {
            // Where nothing is sent again by looks, there is no exception either.
            (0..JOBS).all(|job| {
                times_billed(world, state, job) <= 1
                    || world.list != List::Unused && is_excepted(state, job)
                    || state.jobs[job].agreed
            })
        }));
    }
    if world.list != List::Unused && (world.freezes > 0 || world.lies >= 2) {
        all.push(Property::sometimes(
            DOUBLED_BY_EXCEPTION,
            |_: &World, state: &State| (0..JOBS).any(|job| times_accepted(state, job) > 1),
        ));
    }
    if world.retries > 0 && !world.keeps_results {
        all.push(Property::sometimes(LATE, |_: &World, state: &State| {
            (0..JOBS).any(|job| {
                let mut attempts = state.attempts_of(job);
                let first = attempts.next().map(|attempt| attempt.state);
                state.jobs[job].agreed
                    && state.jobs[job].status == Some(Done)
                    && first == Some(AttemptState::Done)
                    && attempts.all(|attempt| attempt.state != AttemptState::Done)
            })
        }));
    }
    all.push(Property::sometimes(
        SENT_AGAIN,
        |_: &World, state: &State| {
            (0..JOBS).any(|job| {
                state.jobs[job].status == Some(Done) && state.attempts_of(job).count() > 1
            })
        },
    ));
    all
}

/// How many jobs Gladia made of one of ours, but for those that are known to have failed, where callers try again.
fn times_billed(world: &World, state: &State, job: usize) -> usize {
    let attempts = state.attempts_of(job).filter(|attempt| {
        attempt.upstream.is_accepted()
            && (world.retries == 0 || attempt.state != AttemptState::Error)
    });
    attempts.count()
}

/// How many jobs Gladia made of one of ours.
pub fn times_accepted(state: &State, job: usize) -> usize {
    state
        .attempts_of(job)
        .filter(|attempt| attempt.upstream.is_accepted())
        .count()
}

/// Whether a process sent it after standing still in the window, or looks lied about it as often as an attempt has to be
/// missing.
fn is_excepted(state: &State, job: usize) -> bool {
    state
        .attempts_of(job)
        .any(|attempt| attempt.late || u32::from(attempt.lies) >= ABSENCES)
}

fn is_any_excepted(state: &State) -> bool {
    (0..JOBS).any(|job| is_excepted(state, job))
}

fn at_work(state: &State) -> usize {
    state
        .attempts
        .iter()
        .filter(|attempt| attempt.upstream == Upstream::Working)
        .count()
}

fn is_truthful(state: &State) -> bool {
    (0..JOBS).all(|job| {
        let mut attempts = state.attempts_of(job);
        match state.jobs[job].status {
            Some(Done) => attempts.any(|attempt| attempt.upstream == Upstream::Succeeded),
            Some(Error) => !attempts
                .any(|attempt| attempt.upstream == Upstream::Succeeded && attempt.delivered),
            _ => true,
        }
    })
}

/// Whether nothing can happen any more.
fn is_over(world: &World, state: &State) -> bool {
    let clearly_goes_on = state.jobs.iter().any(|job| job.status.is_none())
        || state.attempts.iter().any(|attempt| {
            attempt.worker != Worker::Gone
                || attempt.callbacks > 0
                || matches!(attempt.upstream, Upstream::OnItsWay(_) | Upstream::Working)
                || attempt.is_sought() && attempt.age < MAX_AGE
        });
    !clearly_goes_on && world.next_states(state).is_empty()
}

/// Whether every slot is free, every job has ended, and every success that can be had is its job's.
fn is_settled(world: &World, state: &State) -> bool {
    // A job that would be sent again outside the bounds of the check waits in line, and so does whatever is behind it.
    let is_cut_off = (0..JOBS).any(|job| {
        state.jobs[job].status == Some(Queued) && gateway::is_exhausted(state, world, job)
    });
    let is_free = state
        .attempts
        .iter()
        .all(|attempt| !attempt.slot && !attempt.state.is_open());
    is_free
        && (0..JOBS).all(|job| match state.jobs[job].status {
            Some(Done | Canceled) => true,
            Some(Error) => !has_result(world, state, job),
            Some(Queued) => is_cut_off && !has_result(world, state, job),
            _ => false,
        })
}

/// Whether there is a success that was delivered, or that Gladia keeps where the gateway is to look for it.
fn has_result(world: &World, state: &State, job: usize) -> bool {
    state.attempts_of(job).any(|attempt| {
        attempt.upstream == Upstream::Succeeded
            && (attempt.delivered
                // What an exception doubled is not looked for after it was settled as not sent.
                || world.can_be_asked_for(attempt) && !is_excepted(state, job))
    })
}
