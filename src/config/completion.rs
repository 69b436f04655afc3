//! How the gateway learns that a transcription has ended.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::values::seconds;

/// How the gateway learns that a transcription has ended.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Completion")]
pub struct CompletionSettings {
    /// How results come: `callback`, or `poll` for a machine that Gladia cannot reach.
    ///
    /// With `poll` Gladia gets no callback address and every transcription in flight is asked for, at first after 3 seconds,
    /// then at intervals that double up to 30. PUBLIC_URL is not needed then.
    ///
    /// Example: COMPLETION=poll
    #[arg(long, env, value_enum, default_value = "callback")]
    pub completion: CompletionMode,

    /// After how many seconds in flight a transcription without a callback is asked for (1 to 7200).
    ///
    /// Unless set, the length of the audio and the features asked for decide: some minutes as a rule.
    ///
    /// Example: RECONCILE_AFTER_SECONDS=600
    #[arg(
        long = "reconcile-after-seconds",
        env = "RECONCILE_AFTER_SECONDS",
        value_name = "SECONDS",
        value_parser = seconds(1..=7200),
    )]
    pub reconcile_after: Option<Duration>,
}

/// How results come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompletionMode {
    /// Gladia calls back; only what is overdue is asked for.
    Callback,
    /// Gladia is asked.
    Poll,
}
