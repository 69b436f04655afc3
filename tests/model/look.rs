//! A look at Gladia's list for one attempt of unknown outcome. What not finding it means, `judge` says.

use std::time::Duration;

use gladia_gateway::domain::{
    attempt::AttemptState,
    job::JobStatus,
    settling::{ABSENCES, Absence, Judgement, Witness, judge},
};

use crate::{
    gateway,
    state::State,
    world::{SEND_WINDOW, SETTLING, WitnessRule, World},
};

const TICK: Duration = Duration::from_secs(1);

/// Looks for an attempt in the part of the list that is shown, and for its witness in the part that is shown to that.
pub fn look(state: &mut State, world: &World, index: usize, shown: usize, shown_to_witness: usize) {
    if state.attempts[index].state != AttemptState::Unknown {
        return;
    }
    if state.list[..shown].contains(&index) {
        gateway::adopt(state, world, index);
    } else {
        conclude(state, world, index, shown_to_witness);
    }
}

/// A look that does not find what the list has to show.
pub fn lie(state: &mut State, world: &World, index: usize) {
    let attempt = &state.attempts[index];
    if state.lies == 0 || attempt.state != AttemptState::Unknown || !attempt.upstream.is_accepted()
    {
        return;
    }
    let before = (attempt.state, attempt.absences);
    conclude(state, world, index, state.list.len());
    let attempt = &mut state.attempts[index];
    if before != (attempt.state, attempt.absences) {
        attempt.lies += 1;
        state.lies -= 1;
    }
}

fn conclude(state: &mut State, world: &World, index: usize, shown_to_witness: usize) {
    let attempt = &state.attempts[index];
    let settling_time = TICK * u32::from(SETTLING);
    let since_send_until = TICK * u32::from(attempt.age.saturating_sub(SEND_WINDOW));
    let absence = Absence {
        since_send_until: if world.rules.absences_settle {
            since_send_until
        } else {
            since_send_until.max(settling_time)
        },
        witness: witness_of(state, world, index, shown_to_witness),
        is_oldest: is_oldest(state, index),
        absences: if world.rules.twice {
            u32::from(attempt.absences)
        } else {
            ABSENCES - 1
        },
        since_counted: settling_time,
    };
    match judge(&absence, settling_time) {
        Judgement::Wait(_) => {}
        Judgement::Count => state.attempts[index].absences += 1,
        Judgement::NotSent => gateway::settle_as_not_sent(state, index),
    }
}

fn witness_of(state: &State, world: &World, index: usize, shown: usize) -> Witness {
    if world.rules.witness == WitnessRule::NotNeeded {
        return Witness::Seen;
    }
    let mut later = state
        .attempts
        .iter()
        .enumerate()
        .filter(|(_, other)| other.id_known && other.witness_for & 1 << index != 0)
        .peekable();
    if later.peek().is_none() {
        if may_witness_come(state, world) {
            Witness::MayCome
        } else {
            Witness::CannotCome
        }
    } else if later.any(|(other, _)| state.list[..shown].contains(&other)) {
        Witness::Seen
    } else {
        Witness::Missed
    }
}

/// Something is being sent, or will be when a slot is free.
fn may_witness_come(state: &State, world: &World) -> bool {
    let is_sending = state
        .attempts
        .iter()
        .any(|attempt| attempt.state == AttemptState::Submitting);
    let is_waiting = state
        .jobs
        .iter()
        .any(|job| job.status == Some(JobStatus::Queued));
    let frees_up = state.slots_held() < world.cap
        || state
            .attempts
            .iter()
            .any(|attempt| attempt.slot && attempt.state != AttemptState::Unknown);
    is_sending || is_waiting && frees_up
}

/// Whether no other unknown attempt is older.
fn is_oldest(state: &State, index: usize) -> bool {
    state
        .attempts
        .iter()
        .position(|attempt| attempt.state == AttemptState::Unknown)
        == Some(index)
}
