//! What a look proves about its own completeness.

use chrono::{DateTime, TimeDelta, Utc};

use super::Found;
use crate::{
    db::look_ups::{Candidate, UnknownAttempt},
    domain::{ids::AttemptId, settling::Witness},
};

/// How far Gladia's clock may be from ours. A witness whose times differ by more proves nothing about a span of time.
pub(super) const MAX_SKEW: TimeDelta = TimeDelta::minutes(5);

/// The oldest of those that are judged.
pub(super) fn oldest(attempts: &[UnknownAttempt]) -> Option<AttemptId> {
    attempts
        .iter()
        .min_by_key(|attempt| (attempt.created_at, attempt.id))
        .map(|attempt| attempt.id)
}

/// The first job that was accepted for certain after an instant.
pub(super) fn first_after(candidates: &[Candidate], instant: DateTime<Utc>) -> Option<&Candidate> {
    candidates
        .iter()
        .find(|candidate| candidate.created_at >= instant)
}

/// What a walk that did not find an attempt proves about itself.
pub(super) fn witness_of(
    attempt: &UnknownAttempt,
    candidates: &[Candidate],
    found: &Found,
    may_come: bool,
) -> Witness {
    let mut later = candidates
        .iter()
        .filter(|candidate| candidate.created_at >= attempt.send_until)
        .peekable();
    if later.peek().is_none() {
        if may_come {
            Witness::MayCome
        } else {
            Witness::CannotCome
        }
    } else if later.any(|candidate| shows(found, candidate)) {
        Witness::Seen
    } else {
        Witness::Missed
    }
}

/// Whether a walk found a candidate, under a time that agrees with ours.
fn shows(found: &Found, candidate: &Candidate) -> bool {
    found.get(&candidate.id).is_some_and(|jobs| {
        jobs.iter().any(|job| {
            job.created_at
                .is_some_and(|at| (at - candidate.accepted_at).abs() <= MAX_SKEW)
        })
    })
}
