//! What a look proves about its own completeness.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Found;
use crate::{
    db::attempts::look_ups::{Candidate, UnknownAttempt},
    domain::{ids::AttemptId, settling::Witness},
};

/// How far Gladia's clock may be from ours. A witness whose times differ by more proves nothing about a span of time.
pub(super) const MAX_SKEW: TimeDelta = TimeDelta::minutes(5);

/// How far back the database's clock is looked behind. One that was ahead by more is not believed to have been.
const MAX_STEP: TimeDelta = TimeDelta::days(1);

/// The one that may count without a witness: the oldest. But while a job that was already sent again in this way is unknown
/// once more, only that one, which is then left to an operator: a list that shows nothing would else double one job after
/// the other.
pub(super) fn oldest(
    attempts: &[UnknownAttempt],
    is_any_resent_blindly: bool,
) -> Option<AttemptId> {
    attempts
        .iter()
        .filter(|attempt| attempt.was_resent_blindly || !is_any_resent_blindly)
        .min_by_key(|attempt| (attempt.created_at, attempt.id))
        .map(|attempt| attempt.id)
}

/// From when on a job of an attempt may be at Gladia. Its id has the time of the process that claimed it, which counts where the
/// database's clock was ahead: else a walk would begin behind the job.
pub(super) fn claimed_from(attempt: &UnknownAttempt) -> DateTime<Utc> {
    if attempt.send_until < attempt.created_at {
        // It was pulled back, as nothing else does. The process's clock may have been ahead as well.
        return attempt.send_until - MAX_STEP;
    }
    let by_id = attempt.id.0.get_timestamp().and_then(|timestamp| {
        let (seconds, nanoseconds) = timestamp.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
    });
    by_id.map_or(attempt.created_at, |at| {
        at.clamp(attempt.created_at - MAX_STEP, attempt.created_at)
    })
}

/// From when on a job has to have been claimed to be a witness for an attempt. The attempt's request may have been on its
/// way until then, so one that was claimed earlier may have been accepted before it.
pub(super) fn witnessed_from(attempt: &UnknownAttempt, settling_time: Duration) -> DateTime<Utc> {
    attempt.send_until + settling_time
}

/// The first job that was accepted for certain after an attempt could have been.
pub(super) fn first_after<'a>(
    candidates: &'a [Candidate],
    attempt: &UnknownAttempt,
    settling_time: Duration,
) -> Option<&'a Candidate> {
    let from = witnessed_from(attempt, settling_time);
    candidates
        .iter()
        .find(|candidate| candidate.created_at >= from)
}

/// What a walk that did not find an attempt proves about itself.
pub(super) fn witness_of(
    attempt: &UnknownAttempt,
    settling_time: Duration,
    candidates: &[Candidate],
    found: &Found,
    may_come: bool,
) -> Witness {
    let from = witnessed_from(attempt, settling_time);
    let mut later = candidates
        .iter()
        .filter(|candidate| candidate.created_at >= from)
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::gladia::list::ListedJob;

    const SETTLING: Duration = Duration::from_mins(1);

    fn attempt() -> UnknownAttempt {
        let created_at = DateTime::UNIX_EPOCH;
        UnknownAttempt {
            id: AttemptId(Uuid::from_u128(1)),
            created_at,
            send_until: created_at + TimeDelta::seconds(20),
            next_look_at: None,
            looks: 0,
            absences: 0,
            awaits_decision: false,
            was_resent_blindly: false,
            resends: 0,
            job_has_ended: false,
        }
    }

    /// A job that was claimed so many milliseconds after the attempt's settling time was over.
    fn candidate(milliseconds: i64) -> Candidate {
        let created_at = attempt().send_until + SETTLING + TimeDelta::milliseconds(milliseconds);
        Candidate {
            id: AttemptId(Uuid::from_u128(2)),
            created_at,
            accepted_at: created_at + TimeDelta::seconds(1),
        }
    }

    /// A list that shows a candidate under a time so far from when it was accepted, if it shows any time.
    fn list(candidate: &Candidate, off_by: Option<TimeDelta>) -> Found {
        let job = ListedJob {
            gladia_id: "at-gladia".into(),
            created_at: off_by.map(|off_by| candidate.accepted_at + off_by),
            ended: false,
            attempt_id: Some(candidate.id),
        };
        Found::from([(candidate.id, vec![job])])
    }

    #[test]
    fn a_witness_is_claimed_once_nothing_of_the_attempt_can_be_on_its_way_any_more() {
        let judged = |milliseconds, may_come| {
            let candidates = [candidate(milliseconds)];
            let found = list(&candidates[0], Some(TimeDelta::zero()));
            let first = first_after(&candidates, &attempt(), SETTLING);
            let witness = witness_of(&attempt(), SETTLING, &candidates, &found, may_come);
            (first.is_some(), witness)
        };
        assert_eq!(judged(-1, true), (false, Witness::MayCome));
        assert_eq!(judged(-1, false), (false, Witness::CannotCome));
        assert_eq!(judged(0, false), (true, Witness::Seen));
    }

    #[test]
    fn a_witness_is_seen_only_under_a_time_that_may_be_ours() {
        let candidate = candidate(0);
        let judged = |found: &Found| {
            let candidates = std::slice::from_ref(&candidate);
            witness_of(&attempt(), SETTLING, candidates, found, true)
        };
        for (minutes, witness) in [
            (-6, Witness::Missed),
            (-5, Witness::Seen),
            (5, Witness::Seen),
            (6, Witness::Missed),
        ] {
            let off_by = TimeDelta::minutes(minutes);
            assert_eq!(judged(&list(&candidate, Some(off_by))), witness);
        }
        assert_eq!(judged(&list(&candidate, None)), Witness::Missed);
        assert_eq!(judged(&Found::new()), Witness::Missed);
    }
}
