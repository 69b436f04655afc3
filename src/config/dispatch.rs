//! How much is sent to Gladia at once.

use std::time::Duration;

use clap::Args;

use super::values::{max_in_flight, seconds};

/// How much is sent to Gladia at once.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Dispatch")]
pub struct DispatchSettings {
    /// How many transcriptions may be in flight at Gladia (1 to 10000). Written into a new database only.
    ///
    /// From then on the database holds the number for all replicas: `limits set max-in-flight` changes it. Without this it
    /// is what Gladia allows on GLADIA_PLAN: 3 on the free plan, 25 on paid ones. An enterprise sets what it has agreed on.
    ///
    /// Example: MAX_IN_FLIGHT=25
    #[arg(long, env, value_name = "JOBS", value_parser = max_in_flight())]
    pub max_in_flight: Option<i32>,

    /// How many seconds after its claim a transcription may be sent at the latest (1 to 60).
    ///
    /// A claim that is older is not sent but given back. The attempt's lease is this, the create timeout and ten seconds.
    ///
    /// Example: SEND_WINDOW_SECONDS=20
    #[arg(
        long = "send-window-seconds",
        env = "SEND_WINDOW_SECONDS",
        value_name = "SECONDS",
        default_value = "20",
        value_parser = seconds(1..=60),
    )]
    pub send_window: Duration,
}
