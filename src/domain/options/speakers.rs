//! Who speaks when.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::check::Checker;
use super::numbers::whole;
use super::pairs::is_off;
use super::warning::WarningCode;

/// What is known of the speakers. Gladia takes all of it as hints, not as guarantees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiarizationConfig {
    /// The exact number of speakers, if it is known: 1 or more.
    #[serde(default, deserialize_with = "whole")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub number_of_speakers: Option<u32>,
    /// The fewest speakers: 0 or more. Above `max_speakers` it is accepted with a warning.
    #[serde(default, deserialize_with = "whole")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub min_speakers: Option<u32>,
    /// The most speakers: 0 or more. Below `min_speakers` it is accepted with a warning, unless it is 0.
    #[serde(default, deserialize_with = "whole")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub max_speakers: Option<u32>,
}

/// Warns of a range of speakers that no number is in, and of a number outside of the range. No speakers at most are no bound.
pub(super) fn check(body: &Map<String, Value>, checker: &mut Checker) {
    let count = |name| body.get("diarization_config")?.get(name)?.as_f64();
    let (min, max) = (
        count("min_speakers"),
        count("max_speakers").filter(|max| *max > 0.0),
    );
    if is_off(body, "diarization") {
        return;
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        return checker.warn_at(
            &["diarization_config", "min_speakers"],
            WarningCode::Contradictory,
            format!(
                "`min_speakers` is {min} and `max_speakers` {max}; Gladia takes both as hints, and does not say which \
                 counts: give a `min_speakers` that is at most the other."
            ),
        );
    }
    let Some(number) = count("number_of_speakers") else {
        return;
    };
    let beyond = if min.is_some_and(|min| number < min) {
        "below `min_speakers`"
    } else if max.is_some_and(|max| number > max) {
        "above `max_speakers`"
    } else {
        return;
    };
    checker.warn_at(
        &["diarization_config", "number_of_speakers"],
        WarningCode::Contradictory,
        format!(
            "`number_of_speakers` is {beyond}; Gladia takes all of them as hints, and does not say which counts: give \
             the exact number, or a range around it."
        ),
    );
}
