//! What a callback says, and what it may change.
//!
//! Gladia may deliver a callback before the create's answer, twice, late, or never. What each does is decided here,
//! from the rows alone; `db::callbacks` carries it out in one transaction.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{attempt::AttemptState, job::JobStatus};

/// A callback that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// Gladia's id of the job.
    pub gladia_id: String,
    /// How it ended.
    pub ending: Ending,
}

/// How Gladia's job ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// With a result.
    Success {
        /// Seconds of audio.
        audio_duration_seconds: Option<f64>,
        /// Seconds that are billed: duration times distinct channels.
        billing_time_seconds: Option<f64>,
        /// Add-ons that were asked for and failed. The job is done all the same.
        addon_errors: Vec<AddonError>,
    },
    /// With an error.
    Failure {
        /// Gladia's code, 400 to 599.
        code: Option<i32>,
        /// Gladia's message, which is nowhere else to be had.
        message: String,
    },
}

/// An add-on that failed in a transcription that succeeded.
// Of what Gladia does not say, older rows lack the field; answers have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AddonError {
    /// Where in the result the failure stands, as a JSON pointer: `/summarization`, `/audio_to_llm/results/1`.
    pub pointer: String,
    /// Gladia's code for it.
    pub status_code: Option<i64>,
    /// Gladia's name for it.
    pub exception: Option<String>,
    /// Gladia's message.
    pub message: Option<String>,
}

/// The rows that a callback meets.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// The job's status.
    pub job: JobStatus,
    /// Whether the job's content must not be kept.
    pub discard: bool,
    /// The attempt's state.
    pub attempt: AttemptState,
    /// Gladia's id of the attempt, once Gladia has told it.
    pub gladia_id: Option<&'a str>,
}

/// What a callback does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The job is done, with this body as its result.
    Complete,
    /// The job has failed.
    Fail,
    /// The job keeps what it has; the body is kept beside it.
    Supersede,
    /// The attempt is settled; the body must not be kept.
    Discard,
    /// The body is kept (unless the job's content must not be), and nothing else changes until somebody looks.
    Quarantine(&'static str),
}

impl Verdict {
    /// Why a body is quarantined, if it is. Where it could not be read, what was wrong in it says more.
    #[must_use]
    pub fn reason(self, unreadable: Option<&str>) -> Option<&str> {
        match self {
            Self::Quarantine(reason) => Some(unreadable.unwrap_or(reason)),
            _ => None,
        }
    }
}

/// Decides what a verified and understood callback does to the rows that it meets.
#[must_use]
pub fn decide(before: Before<'_>, completion: &Completion) -> Verdict {
    if before
        .gladia_id
        .is_some_and(|known| known != completion.gladia_id)
    {
        return Verdict::Quarantine("the callback names another Gladia job than the attempt's");
    }
    if before.discard {
        return Verdict::Discard;
    }
    match (&completion.ending, before.job) {
        (_, JobStatus::Canceled) => Verdict::Discard,
        (_, JobStatus::Done) => Verdict::Supersede,
        // Also from `error` (a late success wins) and from `queued` (an older attempt was accepted after all).
        (Ending::Success { .. }, _) => Verdict::Complete,
        // An older attempt's failure says nothing of the attempt that is to follow or is at work.
        (Ending::Failure { .. }, _) if !before.attempt.is_open() => Verdict::Supersede,
        (
            Ending::Failure { .. },
            JobStatus::Submitting | JobStatus::Unknown | JobStatus::Processing,
        ) => Verdict::Fail,
        (Ending::Failure { .. }, JobStatus::Queued | JobStatus::Error) => Verdict::Supersede,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn success() -> Completion {
        let ending = Ending::Success {
            audio_duration_seconds: Some(1.0),
            billing_time_seconds: Some(1.0),
            addon_errors: Vec::new(),
        };
        Completion {
            gladia_id: "g".into(),
            ending,
        }
    }

    fn failure() -> Completion {
        let ending = Ending::Failure {
            code: Some(400),
            message: "no".into(),
        };
        Completion {
            gladia_id: "g".into(),
            ending,
        }
    }

    fn before(job: JobStatus, attempt: AttemptState) -> Before<'static> {
        Before {
            job,
            discard: false,
            attempt,
            gladia_id: None,
        }
    }

    #[test]
    fn a_success_completes_whatever_is_not_done_or_canceled() {
        for job in [
            JobStatus::Queued,
            JobStatus::Submitting,
            JobStatus::Unknown,
            JobStatus::Processing,
            JobStatus::Error,
        ] {
            assert_eq!(
                decide(before(job, AttemptState::Accepted), &success()),
                Verdict::Complete,
                "{job}"
            );
            assert!(job.may_become(JobStatus::Done));
        }
    }

    #[test]
    fn an_error_never_overwrites_a_success() {
        assert_eq!(
            decide(before(JobStatus::Done, AttemptState::Done), &failure()),
            Verdict::Supersede
        );
    }

    #[test]
    fn the_error_of_the_attempt_at_work_fails_the_job() {
        for (job, attempt) in [
            (JobStatus::Submitting, AttemptState::Submitting),
            (JobStatus::Unknown, AttemptState::Unknown),
            (JobStatus::Processing, AttemptState::Accepted),
        ] {
            assert_eq!(
                decide(before(job, attempt), &failure()),
                Verdict::Fail,
                "{job}"
            );
            assert!(job.may_become(JobStatus::Error));
        }
    }

    #[test]
    fn a_body_that_could_not_be_read_is_quarantined_for_what_was_wrong_in_it() {
        let quarantine = Verdict::Quarantine("it is odd");
        assert_eq!(quarantine.reason(None), Some("it is odd"));
        assert_eq!(quarantine.reason(Some("no JSON")), Some("no JSON"));
        assert_eq!(Verdict::Complete.reason(Some("no JSON")), None);
    }

    #[test]
    fn an_older_attempts_error_does_not_fail_the_job() {
        assert_eq!(
            decide(
                before(JobStatus::Submitting, AttemptState::NotSent),
                &failure()
            ),
            Verdict::Supersede
        );
    }

    #[test]
    fn nothing_is_kept_for_a_job_that_was_canceled() {
        let canceled = Before {
            discard: true,
            ..before(JobStatus::Canceled, AttemptState::Accepted)
        };
        assert_eq!(decide(canceled, &success()), Verdict::Discard);
        assert_eq!(decide(canceled, &failure()), Verdict::Discard);
    }

    #[test]
    fn a_contradicting_id_is_quarantined() {
        let known = Before {
            gladia_id: Some("other"),
            ..before(JobStatus::Processing, AttemptState::Accepted)
        };
        assert!(matches!(decide(known, &success()), Verdict::Quarantine(_)));
    }
}
