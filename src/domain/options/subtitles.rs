//! Subtitles that Gladia renders beside the transcript.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use utoipa::ToSchema;

use super::check::Checker;
use super::numbers::whole;
use super::pairs::is_off;
use super::warning::WarningCode;

/// How subtitles are rendered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubtitlesConfig {
    /// The formats to render, at least one. Gladia's default is `["srt"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1)]
    pub formats: Option<Vec<SubtitlesFormat>>,
    /// The shortest time that a subtitle is shown, in seconds: 0 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0)]
    pub minimum_duration: Option<Number>,
    /// The longest time that a subtitle is shown, in seconds: from 1 to 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 1, maximum = 30)]
    pub maximum_duration: Option<Number>,
    /// The most characters on one row: 1 or more.
    #[serde(default, deserialize_with = "whole")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub maximum_characters_per_row: Option<u32>,
    /// The most rows in one subtitle: from 1 to 5.
    #[serde(default, deserialize_with = "whole")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 5)]
    pub maximum_rows_per_caption: Option<u32>,
    /// The style of the subtitles. Gladia's default is `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<SubtitlesStyle>,
}

/// A subtitle format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SubtitlesFormat {
    /// `SubRip`.
    Srt,
    /// `WebVTT`.
    Vtt,
}

/// A subtitle style.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SubtitlesStyle {
    /// Gladia's own layout.
    Default,
    /// The layout that the format's archival description asks for.
    Compliance,
}

/// Warns of a shortest time that is longer than the longest.
pub(super) fn check(body: &Map<String, Value>, checker: &mut Checker) {
    let seconds = |name| body.get("subtitles_config")?.get(name)?.as_f64();
    if let (Some(shortest), Some(longest)) =
        (seconds("minimum_duration"), seconds("maximum_duration"))
        && shortest > longest
        && !is_off(body, "subtitles")
    {
        checker.warn_at(
            &["subtitles_config", "minimum_duration"],
            WarningCode::Contradictory,
            format!(
                "`minimum_duration` is {shortest} and `maximum_duration` {longest}; Gladia does not say which of them \
                 counts: give a `minimum_duration` that is at most the other."
            ),
        );
    }
}
