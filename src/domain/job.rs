//! A job and its legal moves.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words::names;

/// Where a job is, as the database knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// Waits for a slot.
    Queued,
    /// An attempt holds a slot and is being sent.
    Submitting,
    /// An attempt may or may not have reached Gladia. Waits for a callback, a look or an operator.
    Unknown,
    /// Gladia has accepted it.
    Processing,
    /// Has its result.
    Done,
    /// Has failed.
    Error,
    /// Was canceled by its caller.
    Canceled,
}

names! {
    /// The name in SQL.
    JobStatus:
    Queued = "queued",
    Submitting = "submitting",
    Unknown = "unknown",
    Processing = "processing",
    Done = "done",
    Error = "error",
    Canceled = "canceled",
}

impl JobStatus {
    /// Nothing more is expected to happen by itself.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Error | Self::Canceled)
    }

    /// Whether a job may move from here to `to`. The statements in `db` name the state that they leave; this table is
    /// what they are tested against.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        use JobStatus::{Canceled, Done, Error, Processing, Queued, Submitting, Unknown};
        match self {
            // Straight to processing or done: by an older attempt of the same job.
            Queued => matches!(to, Submitting | Processing | Done | Canceled),
            Submitting => matches!(to, Queued | Error | Unknown | Processing | Done | Canceled),
            Unknown => matches!(to, Queued | Processing | Done | Error | Canceled),
            Processing => matches!(to, Done | Error | Canceled),
            // A late success wins over an error; a retry starts over.
            Error => matches!(to, Done | Queued),
            Done | Canceled => false,
        }
    }

    /// As callers see it.
    #[must_use]
    pub fn public(self) -> PublicStatus {
        match self {
            Self::Queued | Self::Submitting | Self::Unknown => PublicStatus::Queued,
            Self::Processing => PublicStatus::Processing,
            Self::Done => PublicStatus::Done,
            Self::Error => PublicStatus::Error,
            Self::Canceled => PublicStatus::Canceled,
        }
    }
}

/// Where a transcription is: `queued` → `processing` → `done` or `error`; or `canceled`.
///
/// `queued` covers everything before Gladia is known to have it; `status_reason` then says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = TranscriptionStatus)]
pub enum PublicStatus {
    /// Accepted and durable; waits for one of the account's slots, or for certainty that Gladia has it.
    Queued,
    /// Gladia has accepted it and is at work.
    Processing,
    /// The result is there.
    Done,
    /// It failed; `error` says why, and what a retry may cost. A success that arrives later still turns it into `done`.
    Error,
    /// Canceled by its caller; a result that still arrives is discarded.
    Canceled,
}

names! {
    /// The name in JSON.
    PublicStatus:
    Queued = "queued",
    Processing = "processing",
    Done = "done",
    Error = "error",
    Canceled = "canceled",
}

impl PublicStatus {
    /// The statuses of the database behind this one.
    #[must_use]
    pub fn internal(self) -> Vec<JobStatus> {
        JobStatus::ALL
            .into_iter()
            .filter(|status| status.public() == self)
            .collect()
    }
}

/// Why a job stands where it does, where its status alone does not say it. A stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusReason {
    /// `queued`: being sent to Gladia right now.
    Submitting,
    /// `queued`: the last attempt did not reach Gladia; another follows by itself.
    NotSent,
    /// `queued`: Gladia answered that it takes no more at the moment; another attempt follows by itself.
    GladiaBusy,
    /// `queued`: Gladia refuses the gateway's key or what it adds to every job, or wants its account paid first. An operator has to act; the job stays in line.
    GladiaKeyRefused,
    /// `queued`: it may or may not have reached Gladia. The gateway finds out, and sends it again only if it provably did not.
    OutcomeUnknown,
    /// `queued`: the same, and nothing is left to find out by, or it was sent again too often; an operator decides.
    AwaitingDecision,
    /// `canceled`: it was canceled before anything was sent; nothing is billed.
    CanceledBeforeSubmission,
    /// `canceled`: Gladia may have it already. It may still be billed; its result is discarded.
    CanceledInFlight,
}

names! {
    /// The name in SQL and JSON.
    StatusReason:
    Submitting = "submitting",
    NotSent = "not_sent",
    GladiaBusy = "gladia_busy",
    GladiaKeyRefused = "gladia_key_refused",
    OutcomeUnknown = "outcome_unknown",
    AwaitingDecision = "awaiting_decision",
    CanceledBeforeSubmission = "canceled_before_submission",
    CanceledInFlight = "canceled_in_flight",
}

/// What Gladia's codes of failures are between.
const GLADIAS_CODES: std::ops::RangeInclusive<i32> = 400..=599;

/// What kind of failure ended a job. A stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TranscriptionErrorType)]
pub enum JobErrorType {
    /// Gladia refused the request, or what was to be sent to it could not be read. Nothing is billed; the message says what to change.
    GladiaRefused,
    /// Gladia accepted the job and failed at it.
    TranscriptionFailed,
    /// Gladia accepted the job, and no result that counts came within the time that it works on a job at most, or it no longer has the job.
    ResultMissing,
    /// It never became known whether the request reached Gladia. It is not sent again by itself, since it may be billed.
    OutcomeUnknown,
}

names! {
    /// The name in SQL and JSON.
    JobErrorType:
    GladiaRefused = "gladia_refused",
    TranscriptionFailed = "transcription_failed",
    ResultMissing = "result_missing",
    OutcomeUnknown = "outcome_unknown",
}

impl JobErrorType {
    /// The code of such a failure where Gladia's clients read it: Gladia's where it gave one, else the one that says the same of
    /// us.
    #[must_use]
    pub fn gladias_code(self, given: Option<i32>) -> i32 {
        given
            .filter(|code| GLADIAS_CODES.contains(code))
            .unwrap_or(match self {
                Self::GladiaRefused => 400,
                Self::TranscriptionFailed => 500,
                Self::OutcomeUnknown => 502,
                Self::ResultMissing => 504,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_a_code_as_gladia_has_them() {
        for kind in JobErrorType::ALL {
            for given in [None, Some(422), Some(0), Some(-1), Some(1000)] {
                let code = kind.gladias_code(given);
                assert!(GLADIAS_CODES.contains(&code), "{kind:?} {given:?}: {code}");
                assert_eq!(code == 422, given == Some(422));
            }
        }
    }

    #[test]
    fn names_survive_the_way_to_sql_and_back() {
        for status in JobStatus::ALL {
            assert_eq!(status.as_str().parse::<JobStatus>().unwrap(), status);
        }
        for reason in StatusReason::ALL {
            assert_eq!(reason.as_str().parse::<StatusReason>().unwrap(), reason);
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        for kind in JobErrorType::ALL {
            assert_eq!(kind.as_str().parse::<JobErrorType>().unwrap(), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn a_done_or_canceled_job_moves_nowhere() {
        for to in JobStatus::ALL {
            assert!(!JobStatus::Done.may_become(to));
            assert!(!JobStatus::Canceled.may_become(to));
        }
    }

    #[test]
    fn every_status_before_the_end_leads_to_done() {
        for from in JobStatus::ALL
            .into_iter()
            .filter(|status| !matches!(status, JobStatus::Done | JobStatus::Canceled))
        {
            assert!(from.may_become(JobStatus::Done), "{from}");
        }
    }

    #[test]
    fn a_public_status_covers_the_internal_ones_that_show_as_it() {
        assert_eq!(
            PublicStatus::Queued.internal(),
            [JobStatus::Queued, JobStatus::Submitting, JobStatus::Unknown]
        );
        for status in PublicStatus::ALL {
            assert_eq!(status.as_str().parse::<PublicStatus>().unwrap(), status);
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
            assert!(!status.internal().is_empty());
        }
    }
}
