//! What the gateway does: each function is one commit, and names the states that it leaves as its statement does.

use gladia_gateway::domain::{
    attempt::AttemptState,
    completion::{Before, Completion, Ending, Verdict, decide},
    job::{
        JobErrorType,
        JobStatus::{Canceled, Done, Error, Processing, Queued, Submitting, Unknown},
    },
    retry::RetryCost,
};

use crate::{
    state::{Attempt, State, Worker},
    world::{LEASE, MAX_AGE, Rules, SEND_WINDOW, SETTLING, WitnessRule, World},
};

/// Claims the head of the line: a job, a slot and an attempt.
pub fn claim(state: &mut State, world: &World) {
    let Some(job) = head_of_line(state) else {
        return;
    };
    if state
        .attempts_of(job)
        .any(|attempt| attempt.state.is_open())
    {
        state.broken = Some("two open attempts of one job");
    }
    let witness_for = match world.rules.witness {
        WitnessRule::Claimed | WitnessRule::AskedForBefore | WitnessRule::AskedForApart => {
            may_testify_for(state, world)
        }
        WitnessRule::NotNeeded | WitnessRule::Answered => 0,
    };
    state.move_job(job, &[Queued], Submitting);
    state.attempts.push(Attempt::claimed(job, witness_for));
}

/// Whether a job waits, a slot is free, and the bounds of the check leave the job an attempt.
pub fn can_claim(state: &State, world: &World) -> bool {
    state.slots_held() < world.cap
        && head_of_line(state).is_some_and(|job| !is_exhausted(state, world, job))
}

fn head_of_line(state: &State) -> Option<usize> {
    state.jobs.iter().position(|job| job.status == Some(Queued))
}

/// Whether the bounds of the check leave a job no further attempt.
pub fn is_exhausted(state: &State, world: &World, job: usize) -> bool {
    state.attempts_of(job).count() >= world.attempts
}

/// The attempts, a bit each, for which what is claimed or answered now counts as later.
fn may_testify_for(state: &State, world: &World) -> u8 {
    let age = if world.rules.witnesses_settle {
        SEND_WINDOW + SETTLING
    } else {
        SEND_WINDOW
    };
    state
        .attempts
        .iter()
        .enumerate()
        .filter(|(_, attempt)| attempt.is_sought() && attempt.age >= age)
        .fold(0, |bits, (index, _)| bits | 1 << index)
}

/// What a worker records of the answer to its create.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// An id.
    Accepted,
    /// 429 in the envelope.
    Busy,
    /// The deadline had passed: nothing left.
    NotSent,
    /// A 5xx, a timeout, a reset.
    Nothing,
}

/// Records the outcome of a create, however late.
pub fn record(state: &mut State, world: &World, index: usize, answer: Answer) {
    state.attempts[index].worker = Worker::Gone;
    if !state.attempts[index].is_sought() {
        return;
    }
    match answer {
        Answer::Accepted => adopt(state, world, index),
        Answer::Busy | Answer::NotSent => settle_as_not_sent(state, index),
        Answer::Nothing => mark_as_unknown(state, index),
    }
}

/// Takes down that Gladia has it, as its answer or its list says.
pub fn adopt(state: &mut State, world: &World, index: usize) {
    note_id(state, world, index);
    let attempt = &mut state.attempts[index];
    attempt.state = AttemptState::Accepted;
    let job = attempt.job;
    state.move_job(job, &[Submitting, Unknown], Processing);
}

fn note_id(state: &mut State, world: &World, index: usize) {
    if world.rules.witness == WitnessRule::Answered && !state.attempts[index].id_known {
        state.attempts[index].witness_for = may_testify_for(state, world);
    }
    state.attempts[index].id_known = true;
}

/// Gives the slot back and puts the job back into the line, unless it ended meanwhile.
pub fn settle_as_not_sent(state: &mut State, index: usize) {
    let attempt = &mut state.attempts[index];
    attempt.state = AttemptState::NotSent;
    attempt.slot = false;
    let job = attempt.job;
    state.move_job(job, &[Submitting, Unknown], Queued);
}

fn mark_as_unknown(state: &mut State, index: usize) {
    let attempt = &mut state.attempts[index];
    if attempt.state == AttemptState::Submitting {
        attempt.state = AttemptState::Unknown;
        let job = attempt.job;
        state.move_job(job, &[Submitting], Unknown);
    }
}

/// Takes an attempt from a process that went silent.
pub fn expire_lease(state: &mut State, index: usize) {
    if state.attempts[index].age >= LEASE {
        mark_as_unknown(state, index);
    }
}

/// Whether the worker may send, as far as it knows.
pub fn passes_check(rules: Rules, attempt: &Attempt) -> bool {
    !rules.check_before_send || attempt.age < SEND_WINDOW
}

/// Ends an attempt at its slot's deadline.
///
/// That is hours away, so Gladia is no longer at work by then, and whatever it keeps and can be asked about was found.
pub fn expire_slot(state: &mut State, world: &World, index: usize) {
    let attempt = &state.attempts[index];
    let is_due = match attempt.state {
        AttemptState::Accepted => true,
        AttemptState::Unknown => attempt.age == MAX_AGE,
        _ => false,
    };
    if !is_due || !attempt.slot || !world.is_silent_for_good(attempt) {
        return;
    }
    let attempt = &mut state.attempts[index];
    attempt.state = AttemptState::Expired;
    attempt.slot = false;
    let job = attempt.job;
    state.move_job(job, &[Submitting, Unknown, Processing], Error);
}

/// Carries out what a callback, or a GET, says of an attempt that has ended at Gladia.
pub fn complete(state: &mut State, world: &World, index: usize, succeeded: bool) {
    let attempt = &state.attempts[index];
    let job = attempt.job;
    let Some(status) = state.jobs[job].status else {
        return;
    };
    let gladia_id = index.to_string();
    let completion = Completion {
        gladia_id: gladia_id.clone(),
        ending: if succeeded {
            Ending::Success {
                audio_duration_seconds: None,
                billing_time_seconds: None,
                addon_errors: Vec::new(),
            }
        } else {
            Ending::Failure {
                code: None,
                message: String::new(),
            }
        },
    };
    let before = Before {
        job: status,
        discard: state.jobs[job].discard,
        attempt: attempt.state,
        gladia_id: attempt.id_known.then_some(gladia_id.as_str()),
    };
    let verdict = decide(before, &completion);
    if matches!(verdict, Verdict::Quarantine(_)) {
        state.broken = Some("a callback of Gladia's own was quarantined");
        return;
    }
    settle_attempt(state, world, index, succeeded);
    match verdict {
        Verdict::Complete => {
            state.move_job(job, &[Queued, Submitting, Unknown, Processing, Error], Done);
        }
        Verdict::Fail => state.move_job(job, &[Submitting, Unknown, Processing], Error),
        Verdict::Supersede | Verdict::Discard | Verdict::Quarantine(_) => {}
    }
}

/// Ends the attempt; a success is the last word on it, and a failure where it was given up.
fn settle_attempt(state: &mut State, world: &World, index: usize, succeeded: bool) {
    let attempt = &state.attempts[index];
    let is_changed = attempt.state != AttemptState::Done
        && (succeeded || attempt.state.is_open() || attempt.state == AttemptState::Expired);
    if is_changed {
        note_id(state, world, index);
        state.attempts[index].state = if succeeded {
            AttemptState::Done
        } else {
            AttemptState::Error
        };
    }
    state.attempts[index].slot = false;
}

/// Cancels a job for its caller. Its attempt goes on.
pub fn cancel(state: &mut State, job: usize) {
    let Some(Queued | Submitting | Unknown | Processing) = state.jobs[job].status else {
        return;
    };
    state.move_job(job, &[Queued, Submitting, Unknown, Processing], Canceled);
    state.jobs[job].discard = true;
}

/// Has a job tried again for its caller, who agrees to whatever that may cost.
pub fn retry(state: &mut State, job: usize) {
    let may_have_succeeded = state.attempts_of(job).any(|attempt| {
        attempt.state == AttemptState::Expired
            || attempt.id_known && attempt.state != AttemptState::Error
    });
    // What the last attempt failed as: the model has no refusals for good.
    let kind = match state.attempts_of(job).last() {
        Some(last) if last.state == AttemptState::Error => JobErrorType::TranscriptionFailed,
        _ => JobErrorType::ResultMissing,
    };
    state.jobs[job].agreed |= RetryCost::after(kind, may_have_succeeded).may_be_billed_twice();
    state.move_job(job, &[Error], Queued);
}

/// A caller asks for a job.
pub fn ask(state: &mut State, job: usize) {
    state.jobs[job].status = Some(Queued);
}
