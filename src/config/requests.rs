//! What requests may cost.

use std::time::Duration;

use clap::{ArgAction, Args};

use super::values::{metadata_key, seconds, whole};
use crate::domain::repeats::LONGEST_WINDOW;

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

    /// The largest body of a batch, in bytes (1000 to 100000000).
    ///
    /// Example: MAX_BATCH_BYTES=10000000
    #[arg(long, env, value_name = "BYTES", default_value = "10000000", value_parser = whole(1000_usize..=100_000_000))]
    pub max_batch_bytes: usize,

    /// Whether `code_switching` is accepted without `languages`. Gladia advises against it.
    ///
    /// Gladia then chooses among all its languages at every utterance, and often chooses wrong; naming 3 to 5 is better.
    ///
    /// Example: ACCEPT_CODE_SWITCHING_WITHOUT_LANGUAGES=true
    #[arg(long, env, value_name = "BOOL", default_value = "false", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub accept_code_switching_without_languages: bool,

    /// The keys of `custom_metadata`, separated by commas, whose values are kept to count usage by after a transcription's
    /// content was erased.
    ///
    /// Usage can be counted by any key. But a job that is deleted, or older than the retention, keeps no metadata; these keys
    /// are the exception, so they should name what is no secret: a team, a project, a cost centre.
    ///
    /// Example: USAGE_METADATA_KEYS=team,project
    #[arg(long, env, value_name = "KEYS", value_delimiter = ',', value_parser = metadata_key)]
    pub usage_metadata_keys: Vec<String>,

    /// How many seconds the body of a request other than an upload may take to arrive (1 to 3600).
    ///
    /// A callback of Gladia's gets a second more for each 100 KB, as long as it goes on coming.
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

    /// How often an upload renews the idempotency key that it holds. Several times within the minute that a key is held without.
    #[arg(skip = Duration::from_secs(20))]
    pub key_renewal_interval: Duration,

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

    /// How many seconds a caller may take nothing of an answer until its connection is ended (10 to 3600).
    ///
    /// The system tells what is taken in steps of up to a megabyte or so: whoever takes less than that in this time, after having
    /// taken much, may be cut off as well. Streams end after 30 seconds in any case.
    ///
    /// Example: ANSWER_IDLE_TIMEOUT_SECONDS=60
    #[arg(
        long = "answer-idle-timeout-seconds",
        env = "ANSWER_IDLE_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value = "60",
        value_parser = seconds(10..=3600),
    )]
    pub answer_idle_timeout: Duration,

    /// How many seconds a connection is kept between two requests (1 to 86400).
    ///
    /// Longer than whoever keeps connections to the gateway keeps them: a proxy that sends a request on one that is just being
    /// closed answers 502, and nobody knows whether the request counted. Google's load balancer keeps them for 600 seconds.
    ///
    /// Example: KEEP_ALIVE_SECONDS=620
    #[arg(
        long = "keep-alive-seconds",
        env = "KEEP_ALIVE_SECONDS",
        value_name = "SECONDS",
        default_value = "620",
        value_parser = seconds(1..=86400),
    )]
    pub keep_alive: Duration,

    /// How many seconds a create at /v2 whose answer did not get out counts, so that the second one that Gladia's own SDKs send
    /// by themselves makes no second job (0 to 600). 0: every create makes a job.
    ///
    /// Example: V2_CREATE_REPEAT_SECONDS=30
    #[arg(
        long = "v2-create-repeat-seconds",
        env = "V2_CREATE_REPEAT_SECONDS",
        value_name = "SECONDS",
        default_value = "30",
        value_parser = seconds(0..=LONGEST_WINDOW.as_secs()),
    )]
    pub v2_create_repeat_window: Duration,

    /// How many requests of the API are worked on in this process at once (1 to 100000).
    ///
    /// Further ones wait for their turn: a second where that is a burst, and a moment where there have been too many of the same
    /// tenant's for longer; then they are answered 503 with Retry-After. A tenant gets one more for as long as it has fewer than
    /// are free: half of all, where it is the only one. A request that waits for its body, for news (wait=) or for a file
    /// to pass is not counted. Callbacks always get through. Five for each connection of DATABASE_POOL_SIZE keep those busy;
    /// more make everybody wait longer.
    ///
    /// Example: MAX_REQUESTS_AT_ONCE=100
    #[arg(long, env, value_name = "REQUESTS", default_value = "100", value_parser = whole(1_usize..=100_000))]
    pub max_requests_at_once: usize,

    /// How many bytes the bodies of all requests that are under way may have together in this process (1000 to 100000000000).
    /// Further requests are answered 503 with Retry-After.
    ///
    /// A tenant gets more for as long as it has less than is free: half of all, where it is the only one.
    /// A file that is passed on, or that Gladia fetches or sends, counts as one million, whatever its size. JSON counts as what
    /// it takes once it is parsed, too: 64 bytes for each of its commas, colons and opening brackets, beyond some hundred of them.
    ///
    /// Example: MAX_BODY_MEMORY_BYTES=256000000
    #[arg(long, env, value_name = "BYTES", default_value = "256000000", value_parser = whole(1000_usize..=100_000_000_000))]
    pub max_body_memory_bytes: usize,

    /// How many bytes the answers that callers have not taken yet may have together in this process (1000 to 100000000000).
    /// Further requests for large ones are answered 503 with Retry-After.
    ///
    /// A tenant gets more for as long as it has less than is free: half of all, where it is the only one. Answers of 64 KiB and
    /// less are not counted. A result that is sent compressed counts as that; one of 256 KiB or more that is not, as what is
    /// stored of it, which is compressed, and one million; audio counts as one million.
    ///
    /// Example: MAX_ANSWER_MEMORY_BYTES=256000000
    #[arg(long, env, value_name = "BYTES", default_value = "256000000", value_parser = whole(1000_usize..=100_000_000_000))]
    pub max_answer_memory_bytes: usize,

    /// How many requests may wait for news (`wait=`) in this process at once (1 to 100000). One more is told to come back.
    ///
    /// A tenant gets one more for as long as it holds fewer than are free: half of all, where it is the only one. Each holds
    /// a connection to its caller, and nothing else.
    ///
    /// Example: MAX_WAITING_REQUESTS=2000
    #[arg(long, env, value_name = "REQUESTS", default_value = "2000", value_parser = whole(1_usize..=100_000))]
    pub max_waiting_requests: usize,

    /// How many seconds a gateway goes on after SIGTERM or Ctrl-C, while `/readyz` already says that it is not ready (0 to 300).
    ///
    /// Longer than a load balancer takes to notice that, so that nothing is sent here once nothing is accepted. None is needed
    /// where whatever stops the gateway takes it out of the balancer first. Each answer closes its connection meanwhile, so that
    /// those who keep connections have none left.
    ///
    /// Example: SHUTDOWN_DELAY_SECONDS=10
    #[arg(
        long = "shutdown-delay-seconds",
        env = "SHUTDOWN_DELAY_SECONDS",
        value_name = "SECONDS",
        default_value = "0",
        value_parser = seconds(0..=300),
    )]
    pub shutdown_delay: Duration,

    /// How many seconds requests and work under way get to finish after SIGTERM or Ctrl-C, and after that delay (0 to 3600).
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
