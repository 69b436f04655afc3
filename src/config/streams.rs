//! Streams of events.

use std::time::Duration;

use clap::Args;

use super::values::whole;

/// Streams of events.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Streams")]
pub struct StreamSettings {
    /// How many streams of events may be open at once in this process (1 to 1000000). Further ones are answered 503.
    ///
    /// A tenant gets one more for as long as it holds fewer than are free: half of all, where it is the only one. Each holds
    /// a connection, and with it a file descriptor: the limit of those (ulimit -n) has to be larger.
    ///
    /// Example: MAX_STREAMS=10000
    #[arg(long, env, value_name = "NUMBER", default_value = "10000", value_parser = whole(1_usize..=1_000_000))]
    pub max_streams: usize,

    /// How long until a comment tells that a stream is alive. Proxies give silent connections up after a minute or so.
    #[arg(skip = Duration::from_secs(15))]
    pub stream_heartbeat_interval: Duration,

    /// How long the reader of a stream may take nothing of what waits for it.
    #[arg(skip = Duration::from_secs(30))]
    pub stream_send_timeout: Duration,

    /// How long a stream lives at most.
    #[arg(skip = Duration::from_hours(1))]
    pub stream_most_life: Duration,
}
