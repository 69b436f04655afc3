//! How it is found out whether a transcription of unknown outcome reached Gladia.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::values::seconds;

/// How it is found out whether a transcription of unknown outcome reached Gladia, and what follows.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Unknown outcomes")]
pub struct SettlingSettings {
    /// How many seconds Gladia's list may lag behind (1 to 3600).
    ///
    /// What was sent and is not in the list counts as not sent only after this, twice, and with proof that the list is
    /// complete.
    ///
    /// Example: SETTLING_SECONDS=60
    #[arg(
        long = "settling-seconds",
        env = "SETTLING_SECONDS",
        value_name = "SECONDS",
        default_value = "60",
        value_parser = seconds(1..=3600),
    )]
    pub settling_time: Duration,

    /// What becomes of a transcription that provably did not reach Gladia: `settled` sends it again, `never` leaves that to
    /// an operator (`attempts resolve`). With `never`, a retry that may be billed twice takes an admin key, too.
    ///
    /// Example: RESEND_UNKNOWN=never
    #[arg(long, env, value_enum, default_value = "settled")]
    pub resend_unknown: ResendUnknown,

    /// The process's monotonic clock; tests replace it.
    #[arg(skip = Instant::now as fn() -> Instant)]
    pub monotonic_now: fn() -> Instant,
}

/// Whether anything of unknown outcome is ever sent again without an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResendUnknown {
    /// Once it is settled that it did not reach Gladia.
    Settled,
    /// Not before an operator says so.
    Never,
}
