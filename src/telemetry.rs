//! What operators see: log lines on stderr, and metrics for Prometheus.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt,
    io::{self, BufWriter, Stderr, Write, stderr},
    panic,
    str::FromStr,
    sync::OnceLock,
    thread,
    time::Duration,
};

use anyhow::Context;
use clap::ValueEnum;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer, layer::SubscriberExt, registry, util::SubscriberInitExt, util::TryInitError,
};

/// Upper bounds of every histogram of seconds: from an answer out of memory to the longest transcription.
const SECONDS_BUCKETS: [f64; 19] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 300.0,
    900.0, 3600.0, 7200.0,
];

/// How often recorded values are folded into their buckets. Without it they would pile up until somebody scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// What is not logged unless it is asked for by name: Postgres's notes at every start that a table exists already; each connection
/// that the driver cannot set up, dozens a second behind a pooler whose server is away, of which the gateway's own pool tells once
/// a while; and what the simulator's decoder thinks of files that it refuses in so many words.
const QUIET: &str = "sqlx::postgres::notice=warn,sqlx_core::pool::inner=off,symphonia_core=off,symphonia_format_ogg=off";

/// How long lines gather before they are written together, after one has been.
const GATHERING_TIME: Duration = Duration::from_millis(10);

/// How many lines wait to be written at most; whoever logs more waits. Room for all of them is taken at the start.
const QUEUED_LINES: usize = 8192;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which log lines are written: directives that [`EnvFilter`] has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// Everything of this level and above.
    #[must_use]
    pub fn from_level(level: tracing::Level) -> Self {
        Self(level.to_string())
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let directives: Vec<&str> = text.split(',').map(str::trim).collect();
        // A word that is no level is a module, of which everything is written. Where nothing else is said, it is a slip that would
        // silence the gateway, or meant for another program.
        let is_heard = |directive: &&str| {
            directive.parse::<LevelFilter>().is_ok()
                || directive.starts_with(env!("CARGO_CRATE_NAME"))
        };
        let is_slip = |directive: &&str| !directive.contains('=') && !is_heard(directive);
        let is_silent = !directives.iter().any(is_heard) && directives.iter().any(is_slip);
        let text = directives.join(",");
        if !is_silent && EnvFilter::try_new(&text).is_ok() {
            return Ok(Self(text));
        }
        Err("must be a level (error, warn, info, debug, trace, off) or module=level, separated by commas".into())
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Starts logging to stderr, once in the life of the process. Lines are written by a thread of their own, since callers wait
/// for those who log; those that are left are written when what this returns is dropped. Where nobody reads them, everybody
/// waits in the end. Lines are lost only where the process does not end by itself.
///
/// # Errors
/// Where something else logs already.
pub fn init(format: LogFormat, filter: &LogFilter) -> Result<WorkerGuard, TryInitError> {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(false)
        .buffered_lines_limit(QUEUED_LINES)
        .thread_name("log")
        .finish(Gathering(BufWriter::new(stderr())));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    // Without colours, also at a terminal: what can make them takes a third of a line's time where it does not.
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        // A line is within one span at most, the request's, which a list of spans would only say once more.
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    };
    registry()
        .with(EnvFilter::new(format!("{QUIET},{filter}")))
        .with(lines)
        .try_init()?;
    log_panics();
    Ok(guard)
}

/// Has panics logged and counted like everything else, wherever they happen: in a handler, under its request id; in an answer
/// that is on its way; on a thread of its own.
fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("no message");
        let location = info.location().map(ToString::to_string);
        // Empty unless RUST_BACKTRACE asks for it.
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(&backtrace);
        metrics::counter!("gateway_panics_total").increment(1);
        tracing::error!(
            panic = message,
            location,
            backtrace = backtrace.map(tracing::field::display),
            "The gateway made a mistake"
        );
    }));
}

/// Writes lines together: each by itself would wake the thread that writes, and be a call to the system, which costs more than
/// many a request. The thread flushes this when there are no more lines.
struct Gathering(BufWriter<Stderr>);

impl Write for Gathering {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        thread::sleep(GATHERING_TIME);
        flushed
    }
}

/// Starts logging for tests: through the test harness's capture, as `RUST_LOG` says, and any number of times.
pub fn try_init() {
    let lines = tracing_subscriber::fmt::layer().with_test_writer();
    // Only the first test of a process succeeds. The others log through its subscriber.
    drop(
        registry()
            .with(EnvFilter::from_default_env())
            .with(lines)
            .try_init(),
    );
}

/// Starts collecting metrics, once in the life of the process, and returns what renders them.
///
/// # Errors
/// Where something else collects them already.
pub fn metrics_handle() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    HANDLE
        .get_or_init(|| install_recorder().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(anyhow::Error::msg)
}

fn install_recorder() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .install_recorder()
        .context("metrics cannot be collected")?;
    let upkeep = handle.clone();
    // A thread, because it outlives any one async runtime of the process.
    thread::Builder::new()
        .name("metrics-upkeep".to_owned())
        .spawn(move || {
            loop {
                thread::sleep(UPKEEP_INTERVAL);
                upkeep.run_upkeep();
            }
        })
        .context("metrics cannot be kept up")?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logging_starts_any_number_of_times_in_tests() {
        try_init();
        try_init();
    }

    #[test]
    fn a_panic_that_is_caught_is_counted() {
        let handle = metrics_handle().unwrap();
        let of_tests = panic::take_hook();
        log_panics();
        let caught = panic::catch_unwind(|| panic!("a mistake"));
        panic::set_hook(of_tests);
        assert!(caught.is_err());
        let counted = handle.render().lines().any(|line| {
            let count = line.strip_prefix("gateway_panics_total ");
            count.is_some_and(|count| count.parse::<u64>().unwrap() > 0)
        });
        assert!(counted);
    }

    #[test]
    fn filters_are_checked_when_they_are_read() {
        assert!("info,gladia_gateway=debug".parse::<LogFilter>().is_ok());
        let refused = "gladia_gateway=loudest".parse::<LogFilter>().unwrap_err();
        assert!(refused.starts_with("must be a level"), "{refused}");
    }

    #[test]
    fn several_gateways_of_one_process_share_their_metrics() {
        let (one, two) = (metrics_handle().unwrap(), metrics_handle().unwrap());
        metrics::histogram!("telemetry_test_seconds").record(0.3);
        assert!(
            one.render()
                .contains(r#"telemetry_test_seconds_bucket{le="0.5"} 1"#)
        );
        assert!(two.render().contains("telemetry_test_seconds_count 1"));
    }
}
