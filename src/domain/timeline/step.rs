//! A step of a timeline: its code, its reason, and both in words.

use super::{DateTime, JobErrorType, Serialize, ToSchema, Utc};
use crate::domain::words::names;

/// What happened. A stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepCode {
    /// The gateway accepted the transcription; it waits in line.
    Accepted,
    /// An attempt took one of the account's slots and is sent to Gladia.
    Submitting,
    /// The attempt did not reach Gladia, and the transcription is back in line.
    NotSent,
    /// The attempt may or may not have reached Gladia.
    OutcomeUnknown,
    /// Gladia was asked for the attempt, for the first time without finding it.
    NotFoundAtGladia,
    /// Gladia has it and is at work.
    Processing,
    /// Gladia called back.
    CallbackReceived,
    /// The gateway asked Gladia how it went, and had its answer.
    ResultFetched,
    /// The result is there.
    Done,
    /// It failed.
    Error,
    /// Its caller had it tried again; it is at the end of the line.
    Retried,
    /// Its caller canceled it.
    Canceled,
    /// Gladia turned out to have it more than once.
    SurplusFound,
    /// Gladia's copy that is one too many was deleted there, or could not be.
    SurplusDeleted,
}

/// Why it happened, or what came of it. A stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepReason {
    /// `not_sent`: Gladia takes no more at the moment.
    GladiaBusy,
    /// `not_sent`: Gladia refuses the gateway's key or what it adds to every job, or wants its account paid first.
    GladiaKeyRefused,
    /// `not_sent`: the request did not reach Gladia, or nothing at that address takes transcriptions.
    FailedBeforeSending,
    /// `not_sent`, `processing`: a look at Gladia's list told.
    LookUp,
    /// `processing`: a webhook of the Gladia account told.
    Webhook,
    /// `processing`: a callback told.
    Callback,
    /// `not_sent`, `processing`: an operator decided.
    Operator,
    /// A callback or a fetched result that completed the transcription.
    Completed,
    /// One that says that it failed.
    Failed,
    /// One that came when the transcription had another outcome.
    Superseded,
    /// One that was not kept, because the transcription was canceled.
    Discarded,
    /// One that could not be carried out and waits for an operator.
    Quarantined,
    /// One that was too large to be read; the result is fetched instead.
    TooLarge,
    /// One that waits for a second proof.
    Unproven,
    /// `error`: Gladia refused the request, or what was to be sent could not be read.
    GladiaRefused,
    /// `error`: Gladia failed at it.
    TranscriptionFailed,
    /// `error`: Gladia delivered no result that counts in time.
    ResultMissing,
    /// `error`: whether it reached Gladia was never learnt, and an operator gave it up.
    OutcomeUnknown,
    /// `canceled`: nothing had been sent.
    CanceledBeforeSubmission,
    /// `canceled`: Gladia may have it and may bill it.
    CanceledInFlight,
    /// `surplus_deleted`: Gladia deleted it.
    Deleted,
    /// `surplus_deleted`: Gladia did not have it any more.
    AlreadyGone,
    /// `surplus_deleted`: Gladia refused to for days.
    GivenUp,
}

names! {
    /// The name in JSON, and in SQL of what stands there.
    StepReason:
    GladiaBusy = "gladia_busy",
    GladiaKeyRefused = "gladia_key_refused",
    FailedBeforeSending = "failed_before_sending",
    LookUp = "look_up",
    Webhook = "webhook",
    Callback = "callback",
    Operator = "operator",
    Completed = "completed",
    Failed = "failed",
    Superseded = "superseded",
    Discarded = "discarded",
    Quarantined = "quarantined",
    TooLarge = "too_large",
    Unproven = "unproven",
    GladiaRefused = "gladia_refused",
    TranscriptionFailed = "transcription_failed",
    ResultMissing = "result_missing",
    OutcomeUnknown = "outcome_unknown",
    CanceledBeforeSubmission = "canceled_before_submission",
    CanceledInFlight = "canceled_in_flight",
    Deleted = "deleted",
    AlreadyGone = "already_gone",
    GivenUp = "given_up",
}

impl From<JobErrorType> for StepReason {
    fn from(kind: JobErrorType) -> Self {
        match kind {
            JobErrorType::GladiaRefused => Self::GladiaRefused,
            JobErrorType::TranscriptionFailed => Self::TranscriptionFailed,
            JobErrorType::ResultMissing => Self::ResultMissing,
            JobErrorType::OutcomeUnknown => Self::OutcomeUnknown,
        }
    }
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TimelineStep)]
pub struct Step {
    /// When.
    pub at: DateTime<Utc>,
    /// What happened.
    pub step: StepCode,
    /// Which attempt it belongs to: 1 for the first time that it may have been sent to Gladia.
    pub attempt: Option<i32>,
    /// Why, or what came of it, where that is known.
    pub reason: Option<StepReason>,
    /// The same for people.
    pub explanation: String,
}

impl Step {
    pub(super) fn new(step: StepCode, at: DateTime<Utc>) -> Self {
        Self {
            at,
            step,
            attempt: None,
            reason: None,
            explanation: explain(step, None),
        }
    }

    pub(super) fn of_attempt(self, number: impl Into<Option<i32>>) -> Self {
        Self {
            attempt: number.into(),
            ..self
        }
    }

    pub(super) fn because(self, reason: Option<StepReason>) -> Self {
        Self {
            reason,
            explanation: explain(self.step, reason),
            ..self
        }
    }
}

fn explain(step: StepCode, reason: Option<StepReason>) -> String {
    let text = match step {
        StepCode::Accepted => "The gateway accepted the transcription. It waits in line.",
        StepCode::Submitting => "It took one of the account's slots and is being sent to Gladia.",
        StepCode::NotSent => not_sent(reason),
        StepCode::OutcomeUnknown => {
            "It may or may not have reached Gladia, so it is not sent again until that is known."
        }
        StepCode::NotFoundAtGladia => "Gladia was asked for it and did not have it.",
        StepCode::Processing => match reason {
            Some(StepReason::LookUp) => "Gladia's list shows that it arrived. Gladia is at work.",
            Some(StepReason::Webhook) => {
                "A webhook of the Gladia account shows that it arrived. Gladia is at work."
            }
            Some(StepReason::Callback) => "A callback shows that it arrived.",
            Some(StepReason::Operator) => "An operator found it at Gladia. Gladia is at work.",
            _ => "Gladia accepted it and is at work.",
        },
        StepCode::CallbackReceived => return format!("Gladia called back{}.", came(reason)),
        StepCode::ResultFetched => {
            return format!("The gateway asked Gladia, which answered{}.", came(reason));
        }
        StepCode::Done => "The result is there.",
        StepCode::Error => failed(reason),
        StepCode::Retried => {
            "Its caller had it tried again after the error. It is at the end of the line."
        }
        StepCode::Canceled => match reason {
            Some(StepReason::CanceledBeforeSubmission) => {
                "Its caller canceled it before anything was sent. Nothing is billed."
            }
            Some(StepReason::CanceledInFlight) => {
                "Its caller canceled it. Gladia may have it and may bill it; its result is discarded."
            }
            _ => "Its caller canceled it.",
        },
        StepCode::SurplusFound => {
            "Gladia turned out to have it more than once. The copy that is not the result is deleted there in the end."
        }
        StepCode::SurplusDeleted => match reason {
            Some(StepReason::AlreadyGone) => "Gladia did not have the second copy any more.",
            Some(StepReason::GivenUp) => {
                "Gladia refused to delete the second copy for days, so it stays there."
            }
            _ => "Gladia deleted the second copy.",
        },
    };
    text.to_owned()
}

fn not_sent(reason: Option<StepReason>) -> &'static str {
    match reason {
        Some(StepReason::GladiaBusy) => {
            "Gladia takes no more at the moment. It is back in its place in line, and another attempt follows."
        }
        Some(StepReason::GladiaKeyRefused) => {
            "Gladia refuses the gateway's key or what it adds to every job, wants its account paid first, or refuses what this job asks for. It is back in line; an operator may have to act."
        }
        Some(StepReason::FailedBeforeSending) => {
            "The request did not reach Gladia, or nothing at that address takes transcriptions. It is back in its place in line, and another attempt follows."
        }
        Some(StepReason::LookUp) => {
            "Gladia's list proves that it had not arrived. It is back in its place in line, and another attempt follows."
        }
        Some(StepReason::Operator) => {
            "An operator decided that it had not arrived. It is back in its place in line, and another attempt follows."
        }
        _ => "The attempt was taken for not sent. It is back in its place in line.",
    }
}

fn failed(reason: Option<StepReason>) -> &'static str {
    match reason {
        Some(StepReason::GladiaRefused) => "Gladia did not take the request. Nothing is billed.",
        Some(StepReason::TranscriptionFailed) => "Gladia worked on it and failed.",
        Some(StepReason::ResultMissing) => {
            "Gladia accepted it and delivered no result that counts in time."
        }
        Some(StepReason::OutcomeUnknown) => {
            "Whether it reached Gladia was never learnt, and an operator gave it up."
        }
        _ => "It failed.",
    }
}

/// With what a body came.
fn came(reason: Option<StepReason>) -> &'static str {
    match reason {
        Some(StepReason::Completed) => " with the result",
        Some(StepReason::Failed) => " that it failed",
        Some(StepReason::Superseded) => {
            " when the transcription had its outcome or another attempt by then, so nothing changed"
        }
        Some(StepReason::Discarded) => {
            " when the transcription was canceled, so the content was not kept"
        }
        Some(StepReason::Quarantined) => {
            " with something that could not be carried out; it is kept for an operator"
        }
        Some(StepReason::TooLarge) => {
            " with more than the gateway reads at once, so the result is fetched"
        }
        Some(StepReason::Unproven) => " with a result that counts once Gladia confirms it",
        _ => "",
    }
}
