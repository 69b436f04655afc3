//! A summary of what was said.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the transcript is summarised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SummarizationConfig {
    /// The kind of summary. Gladia's default is `general`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<SummaryType>,
}

/// A kind of summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SummaryType {
    /// A balanced summary: Gladia's default.
    General,
    /// The main points as a list.
    BulletPoints,
    /// A short summary.
    Concise,
}
