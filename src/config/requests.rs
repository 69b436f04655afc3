//! What requests may cost.

use std::time::Duration;

use clap::Args;

use super::values::{seconds, whole};

/// What requests may cost.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Requests")]
pub struct RequestSettings {
    /// The largest audio file that is accepted, in bytes (1 to 1000000000, which is Gladia's own limit).
    ///
    /// Example: MAX_UPLOAD_BYTES=500000000
    #[arg(long, env, value_name = "BYTES", default_value = "1000000000", value_parser = whole(1_u64..=1_000_000_000))]
    pub max_upload_bytes: u64,

    /// The largest JSON body, and the largest `options` part of an upload, in bytes (1000 to 100000000).
    ///
    /// Example: MAX_REQUEST_BYTES=1000000
    #[arg(long, env, value_name = "BYTES", default_value = "1000000", value_parser = whole(1000_usize..=100_000_000))]
    pub max_request_bytes: usize,

    /// How many seconds the body of a request other than an upload may take to arrive (1 to 3600).
    ///
    /// Example: REQUEST_TIMEOUT_SECONDS=30
    #[arg(
        long = "request-timeout-seconds",
        env = "REQUEST_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value = "30",
        value_parser = seconds(1..=3600),
    )]
    pub request_timeout: Duration,

    /// After how many seconds in which nothing arrives an upload is ended (1 to 3600).
    ///
    /// Example: UPLOAD_IDLE_TIMEOUT_SECONDS=30
    #[arg(
        long = "upload-idle-timeout-seconds",
        env = "UPLOAD_IDLE_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value = "30",
        value_parser = seconds(1..=3600),
    )]
    pub upload_idle_timeout: Duration,

    /// How many seconds requests and work under way get to finish after SIGTERM or Ctrl-C (0 to 3600).
    ///
    /// Keep it below the time after which whatever stops the gateway kills it.
    ///
    /// Example: SHUTDOWN_TIMEOUT_SECONDS=45
    #[arg(
        long = "shutdown-timeout-seconds",
        env = "SHUTDOWN_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value = "45",
        value_parser = seconds(0..=3600),
    )]
    pub shutdown_timeout: Duration,
}
