//! The commands of the binary, one file each.
//!
//! What a command is asked for goes to stdout and nothing else does: explanations, logs and errors go to stderr. A command
//! that fails says why in one line and exits with 1; one that cannot begin, for a missing setting or a misspelt flag, exits
//! with 2. With `LOG_FORMAT=json` what it says is one JSON object on one line.

mod attempts;
mod callbacks;
#[cfg(feature = "dev-tools")]
mod chaos;
mod check_callback;
#[cfg(feature = "dev-tools")]
mod child;
mod connect;
#[cfg(feature = "dev-tools")]
mod demo;
mod keys;
mod limits;
#[cfg(feature = "dev-tools")]
mod local_gateway;
mod migrate;
mod openapi;
pub mod output;
mod report;
mod serve;
#[cfg(feature = "dev-tools")]
mod simulate;
mod whose;
#[cfg(feature = "dev-tools")]
mod with_gateway;
#[cfg(feature = "dev-tools")]
mod with_postgres;

use std::process::ExitCode;
#[cfg(feature = "dev-tools")]
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use tracing::Level;

use crate::{
    config::{self, CheckCallbackSettings, DotenvError, Environment, LogSettings, ServeSettings},
    shutdown::Shutdown,
    telemetry::LogFilter,
};

pub use self::report::{report_failure, report_stop};

/// The exit code of a command that could not begin.
const EXIT_USAGE: u8 = 2;

/// Where settings come from, for those who read `--help` to the end.
const ABOUT_SETTINGS: &str = "Settings come from flags, from the environment, and from a file `.env` in the working \
    directory, in this order. NAME_FILE=path reads the setting NAME from a file, which suits secrets. An empty variable \
    counts as not set.";

/// The command line.
#[derive(Parser, Debug)]
#[command(
    name = "gladia-gateway",
    version,
    about = "A durable gateway between a company's programs and Gladia's speech-to-text API",
    long_about = None,
    after_long_help = ABOUT_SETTINGS
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How it logs.
    #[command(flatten)]
    pub log: LogSettings,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the gateway until SIGTERM or Ctrl-C.
    #[command(long_about = None, after_long_help = ABOUT_SETTINGS)]
    Serve(Box<ServeSettings>),
    /// Bring the database to this version's tables.
    ///
    /// `serve` does the same at its start, unless told not to.
    Migrate(migrate::MigrateArgs),
    /// Print the machine-readable description of the REST API.
    Openapi(openapi::OpenapiArgs),
    /// Make, list and revoke the API keys of callers.
    #[command(subcommand)]
    Keys(keys::Command),
    /// List and show callbacks that could not be carried out, try them again or dismiss them, and show which keys are still needed.
    #[command(subcommand)]
    Callbacks(callbacks::Command),
    /// Call the public address as Gladia would, and say whether a gateway with these keys answers.
    CheckCallback(CheckCallbackSettings),
    /// List what may or may not have reached Gladia, or all that is there, and say what became of it.
    #[command(subcommand)]
    Attempts(attempts::Command),
    /// Show and change how much is sent to Gladia at once.
    #[command(subcommand)]
    Limits(limits::Command),
    /// Say what an id from the log or the API is of, and which tenant's.
    Whose(whose::WhoseArgs),
    /// Show the whole way of a recording on this machine: no account, no database, nothing to set up.
    #[cfg(feature = "dev-tools")]
    #[command(long_about = None)]
    Demo(demo::DemoArgs),
    /// Run a simulator of Gladia's API: it decodes audio for real and transcribes it by a script.
    #[cfg(feature = "dev-tools")]
    #[command(long_about = None)]
    Simulate(simulate::SimulateArgs),
    /// Let everything go wrong, and show that no job is lost and none is billed twice.
    #[cfg(feature = "dev-tools")]
    #[command(hide = true, long_about = None)]
    Chaos(chaos::ChaosArgs),
    /// Run a command beside a gateway, its Postgres and a simulated Gladia, with a key for it in the environment.
    #[cfg(feature = "dev-tools")]
    #[command(hide = true, long_about = None)]
    WithGateway(with_gateway::WithGatewayArgs),
    /// Run a command beside an embedded Postgres that has this checkout's tables.
    #[cfg(feature = "dev-tools")]
    #[command(hide = true, long_about = None)]
    WithPostgres(with_postgres::WithPostgresArgs),
}

/// Why no command begins.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// `.env` is broken.
    #[error(transparent)]
    Dotenv(#[from] DotenvError),
    /// The command line or a setting is wrong, or help was asked for.
    #[error(transparent)]
    CommandLine(#[from] config::Stop),
}

impl Cli {
    /// Reads the command line, the environment and `.env`.
    ///
    /// # Errors
    /// Where there is nothing to run.
    pub fn from_process() -> Result<Self, Stop> {
        Self::parse_from_environment(std::env::args_os(), &Environment::of_process()?)
    }

    fn parse_from_environment(
        args: impl IntoIterator<Item = std::ffi::OsString>,
        environment: &Environment,
    ) -> Result<Self, Stop> {
        let matches = config::parse(Self::command(), args, environment)?;
        let cli = Self::from_arg_matches(&matches).map_err(config::Stop::from)?;
        if let Command::Serve(settings) = &cli.command {
            settings.check().map_err(config::Stop::from)?;
        }
        Ok(cli)
    }

    /// What is logged, unless it was said: some show progress or the output of others, which log lines
    /// would bury.
    #[must_use]
    pub fn log_filter(&self) -> LogFilter {
        let level = match &self.command {
            #[cfg(feature = "dev-tools")]
            Command::Demo(_) | Command::Chaos(_) | Command::WithGateway(_) => Level::ERROR,
            _ => Level::INFO,
        };
        self.log
            .log_level
            .clone()
            .unwrap_or_else(|| LogFilter::from_level(level))
    }

    /// Runs the command.
    ///
    /// # Errors
    /// Where it fails.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(settings) => {
                let delay = settings.requests.shutdown_delay;
                serve::run(*settings, Shutdown::on_signals(delay)?).await
            }
            Command::Migrate(args) => migrate::run(&args).await,
            Command::Openapi(args) => openapi::run(&args),
            Command::Keys(command) => keys::run(command).await,
            Command::Callbacks(command) => callbacks::run(command).await,
            Command::CheckCallback(settings) => check_callback::run(settings).await,
            Command::Attempts(command) => attempts::run(command).await,
            Command::Limits(command) => limits::run(command).await,
            Command::Whose(args) => whose::run(args).await,
            #[cfg(feature = "dev-tools")]
            Command::Demo(args) => demo::run(args, Shutdown::on_signals(Duration::ZERO)?).await,
            #[cfg(feature = "dev-tools")]
            Command::Simulate(args) => {
                simulate::run(args, Shutdown::on_signals(Duration::ZERO)?.soft).await?;
                Ok(ExitCode::SUCCESS)
            }
            #[cfg(feature = "dev-tools")]
            Command::Chaos(args) => chaos::run(args, Shutdown::on_signals(Duration::ZERO)?).await,
            #[cfg(feature = "dev-tools")]
            Command::WithGateway(args) => with_gateway::run(args).await,
            #[cfg(feature = "dev-tools")]
            Command::WithPostgres(args) => with_postgres::run(args).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str, values: &[(&str, &str)]) -> Result<Cli, Stop> {
        let environment = Environment::from_values(values.iter().copied());
        Cli::parse_from_environment(line.split(' ').map(Into::into), &environment)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_parse_with_the_database_from_the_environment() {
        let database = [("DATABASE_URL", "postgres://db/gateway")];
        for line in [
            "gladia-gateway migrate",
            "gladia-gateway openapi",
            "gladia-gateway keys create --tenant acme --name ci --scope write",
            "gladia-gateway keys list",
            "gladia-gateway keys revoke 0190b5a0-0000-7000-8000-000000000000",
            "gladia-gateway callbacks list",
            "gladia-gateway callbacks replay 0190b5a0-0000-7000-8000-000000000000",
            "gladia-gateway callbacks replay --all",
            "gladia-gateway callbacks show 0190b5a0-0000-7000-8000-000000000000",
            "gladia-gateway callbacks dismiss 0190b5a0-0000-7000-8000-000000000000",
            "gladia-gateway callbacks keys",
            "gladia-gateway attempts list",
            "gladia-gateway attempts list --in-flight",
            "gladia-gateway whose 0190b5a0-0000-7000-8000-000000000000",
            "gladia-gateway attempts resolve 0190b5a0-0000-7000-8000-000000000000 --as not-sent",
            "gladia-gateway attempts resolve 0190b5a0-0000-7000-8000-000000000000 --as accepted --gladia-id g-1",
            "gladia-gateway limits show --log-format json",
            "gladia-gateway --log-level debug limits set max-in-flight 3",
        ] {
            if let Err(stop) = parse(line, &database) {
                panic!("{line}: {stop}");
            }
        }
    }

    #[test]
    #[cfg(feature = "dev-tools")]
    fn the_simulator_takes_its_switches_from_flags_and_the_environment() {
        let strict = [("SIMULATOR_STRICT_OPTIONS", "true")];
        assert!(parse("gladia-gateway simulate", &strict).is_ok());
        assert!(parse("gladia-gateway simulate --strict-options", &[]).is_ok());
        assert!(parse("gladia-gateway simulate --allow-loopback false", &[]).is_ok());
    }

    #[test]
    fn each_command_asks_for_its_own_settings_alone() {
        assert!(parse("gladia-gateway openapi", &[]).is_ok());
        let stop = parse("gladia-gateway keys list", &[])
            .unwrap_err()
            .to_string();
        assert!(
            stop.contains("DATABASE_URL") && !stop.contains("PUBLIC_URL"),
            "{stop}"
        );
        // A wrong setting of another command is nobody's trouble.
        assert!(parse("gladia-gateway openapi", &[("MAX_IN_FLIGHT", "many")]).is_ok());
    }

    #[test]
    fn a_flag_that_commands_share_is_named_by_the_setting_of_the_command_that_runs() {
        let stop = parse("gladia-gateway serve", &[("PUBLIC_URL", "ftp://x")]);
        let stop = stop.unwrap_err().to_string();
        assert!(
            stop.contains("\n  PUBLIC_URL (or --public-url) must begin with http"),
            "{stop}"
        );
        assert!(
            stop.contains("Example: DATABASE_URL=postgres://gateway:password@db.internal"),
            "{stop}"
        );
    }

    #[test]
    fn a_missing_flag_and_a_missing_setting_share_a_message() {
        let line = "gladia-gateway keys create --name ci --scope write";
        let stop = parse(line, &[]).unwrap_err().to_string();
        assert!(stop.contains("--tenant <TENANT> is missing"), "{stop}");
        assert!(
            stop.contains("DATABASE_URL (or --database-url) is missing"),
            "{stop}"
        );
    }

    #[test]
    fn settings_that_exclude_each_other_are_told_along_with_what_is_wrong_by_itself() {
        let serve = |others: &[(&str, &str)]| {
            let all = [
                ("DATABASE_URL", "postgres://db/gateway"),
                ("GLADIA_API_KEY", "gladia-key"),
                ("PUBLIC_URL", "https://gateway.example.com"),
                ("CALLBACK_KEYS", "k1:0123456789abcdef0123456789abcdef"),
                ("GLADIA_ZERO_DATA_RETENTION", "true"),
            ];
            match parse("gladia-gateway serve", &[&all, others].concat()) {
                Err(Stop::CommandLine(config::Stop::Settings(error))) => error.to_string(),
                other => panic!("{other:?}"),
            }
        };
        let without_spool = "GLADIA_ZERO_DATA_RETENTION is set without CALLBACK_SPOOL_DIR";
        let stop = serve(&[]);
        assert!(
            stop.starts_with("a setting is") && stop.contains(without_spool),
            "{stop}"
        );
        for wrong in [("MAX_IN_FLIGHT", "0"), ("LOG_FORMAT", "xml")] {
            let stop = serve(&[wrong]);
            let told = stop.contains(wrong.0) && stop.contains(without_spool);
            assert!(stop.starts_with("2 settings") && told, "{stop}");
        }
        // What is wrong by itself contradicts nothing.
        for unknown in [
            ("CALLBACK_SPOOL_DIR_FILE", "/nowhere/at/all"),
            ("GLADIA_ZERO_DATA_RETENTION", "perhaps"),
        ] {
            let stop = serve(&[unknown]);
            assert!(stop.starts_with("a setting is"), "{stop}");
        }
        let stop = serve(&[
            ("CALLBACK_SPOOL_DIR", "/spool"),
            ("COMPLETION", "poll"),
            ("VERIFY_CALLBACKS", "fetch"),
            ("MAX_STREAMS", "0"),
        ]);
        assert!(stop.starts_with("3 settings"), "{stop}");
        // Whatever else is wrong, all of it is told.
        let stop = serve(&[
            ("CALLBACK_SPOOL_DIR", "/spool"),
            ("LOG_FORMAT", "xml"),
            ("LISTEN_ADDR", "127.0.0.1:9000"),
            ("OPS_LISTEN_ADDR", "127.0.0.1:9000"),
            ("MAX_STREAMS", "0"),
        ]);
        let told = ["LOG_FORMAT", "OPS_LISTEN_ADDR is the same", "MAX_STREAMS"];
        assert!(told.iter().all(|wrong| stop.contains(wrong)), "{stop}");
        assert!(stop.starts_with("3 settings"), "{stop}");
    }

    #[test]
    fn wrong_global_settings_stop_any_command() {
        let wrong = [("LOG_FORMAT", "xml")];
        let stop = parse("gladia-gateway openapi", &wrong)
            .unwrap_err()
            .to_string();
        assert!(stop.contains("LOG_FORMAT (or --log-format)"), "{stop}");
        for line in [
            "gladia-gateway openapi --log-format json",
            "gladia-gateway --log-format json openapi",
        ] {
            assert!(parse(line, &wrong).is_ok(), "{line}");
        }
    }
}
