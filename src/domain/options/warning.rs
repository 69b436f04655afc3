//! What is accepted all the same, and why it may not do what its caller expects.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::violation::pointer_to;

/// Something in a request that is accepted and may not do what its caller expects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// Where: a JSON pointer (RFC 6901) into the request body.
    #[schema(example = "/custom_vocabulary_config/default_intensity")]
    pub pointer: String,
    /// The kind of warning, for programs.
    pub code: WarningCode,
    /// What may happen, and what to do about it.
    #[schema(
        example = "Above 0.6, words are often replaced that were never said: use a lower intensity, or listen to the result."
    )]
    pub message: String,
}

impl Warning {
    /// A warning at the steps given, from the top of the body.
    #[must_use]
    pub fn at(steps: &[&str], code: WarningCode, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer_to(steps),
            code,
            message: message.into(),
        }
    }
}

/// A kind of warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// The option was switched on, because its configuration was given.
    SwitchedOn,
    /// It has no effect beside the other options.
    NoEffect,
    /// The value is allowed, and known to give bad results.
    LikelyHarmful,
    /// Gladia's documentation contradicts itself, or says nothing.
    NotDocumented,
    /// Options contradict each other, and Gladia does not say which of them counts.
    Contradictory,
    /// Gladia marks the option as alpha: it may change or go.
    Alpha,
    /// Gladia has discontinued the option.
    Discontinued,
    /// Gladia has deprecated the option, which is honoured all the same.
    Deprecated,
    /// It was passed on unchecked.
    Unchecked,
    /// The audio may be out of reach by the time that Gladia fetches it.
    UrlExpires,
    /// The audio is at an address from which Gladia fetches nothing.
    UrlOutOfReach,
    /// The audio may be longer than Gladia transcribes.
    MayBeTooLong,
}
