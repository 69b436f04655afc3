//! The binary: parse the command line, start telemetry, run one command.

use std::{process::ExitCode, time::Duration};

use gladia_gateway::{
    cli::{self, Cli},
    telemetry,
};

/// How long threads that the runtime cannot interrupt (name look-ups, for one) may hold the exit.
const LAST_THREADS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = match Cli::from_process() {
        Ok(cli) => cli,
        Err(stop) => return cli::report_stop(&stop),
    };
    let format = cli.log.log_format;
    match run(cli) {
        Ok(code) => code,
        Err(error) => cli::report_failure(&error, format),
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let _last_lines = telemetry::init(cli.log.log_format, &cli.log_filter())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(cli.run());
    runtime.shutdown_timeout(LAST_THREADS);
    outcome
}
