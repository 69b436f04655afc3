//! The erasure of a transcription, and its receipt.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::words::names;

/// Who erased a transcription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErasedBy {
    /// A caller, who deleted it.
    Request,
    /// The gateway's retention ended.
    Retention,
}

names! {
    /// The name in SQL and JSON.
    ErasedBy:
    Request = "request",
    Retention = "retention",
}

/// What became of Gladia's copy. Where Gladia had several, the worst of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamStatus {
    /// It never reached Gladia.
    NotSent,
    /// Gladia was asked to delete it or will be: it refuses while it is at work on it, and may seem not to have what it has
    /// just taken; and it is not asked while another transcription that has not ended needs the same upload, which may go with
    /// it. Or it is not yet known whether Gladia has it.
    Pending,
    /// Gladia has deleted it.
    Deleted,
    /// Gladia did not have it any more.
    AlreadyGone,
    /// It may still be at Gladia: Gladia refused for a week, or it never became known whether it arrived there. Whoever
    /// runs the gateway has to act.
    GivenUp,
    /// Nothing was asked of Gladia. Its copy follows the retention that is set in its account; with zero data retention
    /// there, it has none.
    Kept,
}

/// What became of Gladia's copy, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct UpstreamCopy {
    /// What became of it.
    pub status: UpstreamStatus,
    /// When that was so: of the last deletion, or of the last request for one where it is pending.
    pub at: Option<DateTime<Utc>>,
}

/// The receipt of an erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Erased {
    /// Who erased it.
    pub by: ErasedBy,
    /// When the gateway's copy was erased: options, audio reference, result.
    pub erased_at: DateTime<Utc>,
    /// What became of Gladia's copy.
    pub gladia: UpstreamCopy,
}
