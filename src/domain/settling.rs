//! When an attempt of unknown outcome may count as not sent.
//!
//! Sending again what Gladia has is billed twice, so not having found it is not enough. It has to be missing after the
//! time in which its request could leave and the time that Gladia's list may lag behind, twice, and each time with a
//! witness: a job that Gladia is known to have accepted later, found by the same look. Where no witness can come, because
//! nothing else is sent, the oldest attempt alone counts as not there after ten times as long; sending it again makes
//! the witness for the others.

use std::time::Duration;

use super::words::words;

/// How long the right to look at Gladia's list lasts without being renewed: longer than the longest single request.
pub const LOOK_HOLD: Duration = Duration::from_secs(75);

/// After how many settling times the oldest attempt counts without a witness.
pub const WITHOUT_WITNESS: u32 = 10;

/// How often an attempt has to be missing.
pub const ABSENCES: u32 = 2;

/// How often a job is ever sent again because its attempt was not there, before that is left to an operator. What fails in one way
/// as often goes on to, and each time all others wait a moment for it.
const MOST_RESENDS: i64 = 20;

/// What a look proves about its own completeness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Witness {
    /// It found a job that was accepted later: everything before that is in the list.
    Seen,
    /// There are such jobs, and it did not find them: the list lags behind, or the filter does not work.
    Missed,
    /// There are none, but one may come: something is about to be sent.
    MayCome,
    /// There are none, and none can come.
    CannotCome,
}

/// One look that did not find an attempt.
#[derive(Debug, Clone, Copy)]
pub struct Absence {
    /// How long the look began after the last instant at which the request could have left: by the database's clock, and also by
    /// one that nobody sets, so that a step of the first ends no wait.
    pub since_send_until: Duration,
    /// What it proves.
    pub witness: Witness,
    /// Whether no other unknown attempt is older.
    pub is_oldest: bool,
    /// How many looks counted before.
    pub absences: u32,
    /// For how long it is known that one of them counted, by the clock that nobody sets.
    pub since_counted: Duration,
}

impl Absence {
    /// How long until it may count, whatever it proves. Zero: it may.
    #[must_use]
    pub fn counts_in(&self, settling_time: Duration) -> Duration {
        let settled_in = settling_time.saturating_sub(self.since_send_until);
        let apart_in = absences_apart(settling_time).saturating_sub(self.since_counted);
        if self.absences > 0 {
            settled_in.max(apart_in)
        } else {
            settled_in
        }
    }
}

/// How far apart the absences are that settle an attempt, so that a list which is wrong for a moment does not make both.
#[must_use]
pub fn absences_apart(settling_time: Duration) -> Duration {
    settling_time / 4
}

/// What a look that did not find an attempt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It does not count.
    Wait(UnknownReason),
    /// It counts; one more is needed.
    Count,
    /// The attempt did not reach Gladia.
    NotSent,
}

/// Why an unknown attempt is not settled yet. A stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnknownReason {
    /// Its time is not up.
    Settling,
    /// Nothing that was accepted later proves that the list is complete.
    NoWitness,
    /// The list lags behind: what was accepted later is missing too.
    ListBehind,
    /// Gladia did not answer.
    ListUnavailable,
    /// An operator decides (`attempts resolve`).
    AwaitingDecision,
}

impl UnknownReason {
    words! {
        /// The name in SQL and JSON.
        as_str(self):
        Settling = "settling",
        NoWitness = "no_witness",
        ListBehind = "list_behind",
        ListUnavailable = "list_unavailable",
        AwaitingDecision = "awaiting_decision",
    }
}

/// Judges a look that did not find an attempt.
#[must_use]
pub fn judge(absence: &Absence, settling_time: Duration) -> Judgement {
    if !absence.counts_in(settling_time).is_zero() {
        return Judgement::Wait(UnknownReason::Settling);
    }
    match absence.witness {
        Witness::Seen => {}
        Witness::Missed => return Judgement::Wait(UnknownReason::ListBehind),
        Witness::CannotCome
            if absence.is_oldest && absence.since_send_until >= settling_time * WITHOUT_WITNESS => {
        }
        Witness::MayCome | Witness::CannotCome => return Judgement::Wait(UnknownReason::NoWitness),
    }
    if absence.absences + 1 >= ABSENCES {
        Judgement::NotSent
    } else {
        Judgement::Count
    }
}

/// Whether a job whose attempt counts as not sent is sent again without an operator. `resends`: how often it was before;
/// `was_resent_blindly`: whether once without a witness.
#[must_use]
pub fn may_be_sent_again(witness: Witness, was_resent_blindly: bool, resends: i64) -> bool {
    (witness == Witness::Seen || !was_resent_blindly) && resends < MOST_RESENDS
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLING: Duration = Duration::from_mins(1);

    fn absence(seconds: u64, witness: Witness) -> Absence {
        Absence {
            since_send_until: Duration::from_secs(seconds),
            witness,
            is_oldest: true,
            absences: 1,
            since_counted: SETTLING,
        }
    }

    #[test]
    fn an_absence_counts_only_after_the_settling_time_and_with_a_witness() {
        let judged = |seconds, witness| judge(&absence(seconds, witness), SETTLING);
        assert_eq!(
            judged(59, Witness::Seen),
            Judgement::Wait(UnknownReason::Settling)
        );
        assert_eq!(judged(60, Witness::Seen), Judgement::NotSent);
        assert_eq!(
            judged(6000, Witness::Missed),
            Judgement::Wait(UnknownReason::ListBehind)
        );
        assert_eq!(
            judged(6000, Witness::MayCome),
            Judgement::Wait(UnknownReason::NoWitness)
        );
    }

    #[test]
    fn a_job_is_sent_again_without_a_witness_once_and_in_all_twenty_times() {
        assert!(may_be_sent_again(Witness::CannotCome, false, 0));
        assert!(!may_be_sent_again(Witness::CannotCome, true, 1));
        assert!(may_be_sent_again(Witness::Seen, true, 19));
        assert!(!may_be_sent_again(Witness::Seen, false, 20));
    }

    #[test]
    fn one_absence_is_not_enough() {
        let first = Absence {
            absences: 0,
            ..absence(60, Witness::Seen)
        };
        assert_eq!(judge(&first, SETTLING), Judgement::Count);
    }

    #[test]
    fn the_second_absence_counts_a_quarter_of_the_settling_time_after_the_first() {
        let second = |seconds| Absence {
            since_counted: Duration::from_secs(seconds),
            ..absence(6000, Witness::Seen)
        };
        assert_eq!(
            judge(&second(14), SETTLING),
            Judgement::Wait(UnknownReason::Settling)
        );
        assert_eq!(second(14).counts_in(SETTLING), Duration::from_secs(1));
        assert_eq!(judge(&second(15), SETTLING), Judgement::NotSent);
    }

    #[test]
    fn without_a_witness_the_oldest_alone_counts_after_ten_settling_times() {
        let late = absence(600, Witness::CannotCome);
        assert_eq!(judge(&late, SETTLING), Judgement::NotSent);
        assert_eq!(
            judge(&absence(599, Witness::CannotCome), SETTLING),
            Judgement::Wait(UnknownReason::NoWitness)
        );
        let younger = Absence {
            is_oldest: false,
            ..late
        };
        assert_eq!(
            judge(&younger, SETTLING),
            Judgement::Wait(UnknownReason::NoWitness)
        );
    }
}
