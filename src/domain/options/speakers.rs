//! Who speaks when.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::check::Checker;
use super::numbers::whole;

/// What is known of the speakers. Gladia takes all of it as hints, not as guarantees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiarizationConfig {
    /// The exact number of speakers, if it is known: 1 or more.
    #[serde(default, deserialize_with = "whole")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub number_of_speakers: Option<u32>,
    /// The fewest speakers: 0 or more, and no more than `max_speakers`.
    #[serde(default, deserialize_with = "whole")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub min_speakers: Option<u32>,
    /// The most speakers: 0 or more, and no fewer than `min_speakers`.
    #[serde(default, deserialize_with = "whole")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub max_speakers: Option<u32>,
}

/// Refuses a range of speakers that no number is in.
pub(super) fn check(body: &Map<String, Value>, checker: &mut Checker) {
    let bound = |name| body.get("diarization_config")?.get(name)?.as_f64();
    if let (Some(min), Some(max)) = (bound("min_speakers"), bound("max_speakers"))
        && min > max
    {
        checker.report_at(
            &["diarization_config", "min_speakers"],
            format!("`min_speakers` must be at most `max_speakers`, which is {max}; found {min}."),
        );
    }
}
