//! What it may cost to have a job tried again after an error.
//!
//! Gladia bills each create that it accepts and recognises no repetition, so what a retry costs depends on what is known of
//! the attempts before it.

use super::job::JobErrorType;

/// What a retry may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryCost {
    /// Nothing was billed before.
    OnlyBill,
    /// What Gladia had of it failed there.
    BilledAnew,
    /// Gladia may have done, or may still do, what is sent again.
    MayBeBilledTwice,
}

impl RetryCost {
    /// What it may cost after a failure of this kind. `may_have_succeeded`: whether one of the job's attempts may have
    /// succeeded at Gladia for all that is known.
    #[must_use]
    pub fn after(kind: JobErrorType, may_have_succeeded: bool) -> Self {
        match kind {
            _ if may_have_succeeded => Self::MayBeBilledTwice,
            JobErrorType::GladiaRefused => Self::OnlyBill,
            // Of one that was given up, it may have been learnt since that it had failed.
            JobErrorType::TranscriptionFailed
            | JobErrorType::ResultMissing
            | JobErrorType::OutcomeUnknown => Self::BilledAnew,
        }
    }

    /// Whether the same audio may be billed a second time, so that the caller has to agree first.
    #[must_use]
    pub fn may_be_billed_twice(self) -> bool {
        self == Self::MayBeBilledTwice
    }

    /// For people.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::OnlyBill => {
                "Gladia did not take the request, so nothing was billed. A retry sends the same request again and is billed once \
                 Gladia accepts it; what it refused for good it refuses again."
            }
            Self::BilledAnew => {
                "Gladia worked on it and failed. A retry is a new job at Gladia, billed like any other, whatever Gladia \
                 billed for the one that failed."
            }
            Self::MayBeBilledTwice => {
                "Gladia may have transcribed it already: that it did not was never learnt, and its result may still arrive \
                 and complete the transcription. A retry is a new job at Gladia, so the same audio may be billed twice."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_surely_failed_is_tried_again_without_a_word() {
        for (kind, cost) in [
            (JobErrorType::GladiaRefused, RetryCost::OnlyBill),
            (JobErrorType::TranscriptionFailed, RetryCost::BilledAnew),
            (JobErrorType::ResultMissing, RetryCost::BilledAnew),
            (JobErrorType::OutcomeUnknown, RetryCost::BilledAnew),
        ] {
            assert_eq!(RetryCost::after(kind, false), cost);
            // An older attempt of unknown outcome stays one, however the last one ended.
            let after_unknown = RetryCost::after(kind, true);
            assert!(after_unknown.may_be_billed_twice(), "{kind:?}");
        }
    }
}
