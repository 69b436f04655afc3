//! How long results are kept.

use std::time::Duration;

use clap::{ArgAction, Args};

use super::values::seconds;

/// How long results are kept.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Retention")]
pub struct RetentionSettings {
    /// After how many seconds ended transcriptions are erased (60 to 3155760000). Unless set, they are kept.
    ///
    /// What is erased is what `DELETE` erases: options, audio reference, result. A receipt stays. Files that were uploaded
    /// longer ago and that no transcription uses are forgotten, too.
    ///
    /// Example: RETENTION_SECONDS=2592000
    #[arg(
        long = "retention-seconds",
        env = "RETENTION_SECONDS",
        value_name = "SECONDS",
        value_parser = seconds(60..=3_155_760_000),
    )]
    pub retention: Option<Duration>,

    /// Whether Gladia's copy of a transcription is deleted along with ours when the retention ends.
    ///
    /// Example: RETENTION_DELETES_AT_GLADIA=true
    #[arg(long, env, value_name = "BOOL", default_value = "false", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub retention_deletes_at_gladia: bool,

    /// After how many seconds events of transcriptions that have ended are deleted, and deliveries that are through (60 to
    /// 3155760000).
    ///
    /// A program that reads the change list or a stream may be away for this long, and miss nothing.
    ///
    /// Example: EVENT_RETENTION_SECONDS=2592000
    #[arg(
        long = "event-retention-seconds",
        env = "EVENT_RETENTION_SECONDS",
        value_name = "SECONDS",
        default_value = "2592000",
        value_parser = seconds(60..=3_155_760_000),
    )]
    pub event_retention: Duration,
}
