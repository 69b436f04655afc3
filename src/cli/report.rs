//! The last line of a command that failed, or could not begin: on stderr, and as its log lines are.

use std::{
    ffi::OsString,
    io::{Write, stderr},
    process::ExitCode,
};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::error::ErrorKind;
use serde::Serialize;

use super::{EXIT_USAGE, Stop};
use crate::{
    config::{self, Environment, SettingsError, log_format},
    db,
    telemetry::LogFormat,
    trace,
};

/// As a JSON log line begins, so that whoever gathers those reads this as well.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    message: &'a str,
    target: &'static str,
}

/// Writes a text. Where nobody takes it, nobody is to be told of that either.
fn say(format: LogFormat, what: &str, hint: &str) {
    let text = match format {
        LogFormat::Text => format!("error: {what}{hint}\n"),
        LogFormat::Json => json_line(what),
    };
    drop(stderr().write_all(text.as_bytes()));
}

fn json_line(message: &str) -> String {
    let line = Line {
        timestamp: DateTime::<Utc>::from(trace::now()).to_rfc3339_opts(SecondsFormat::Micros, true),
        level: "ERROR",
        message,
        target: env!("CARGO_CRATE_NAME"),
    };
    let mut line = serde_json::to_string(&line).unwrap_or_default();
    line.push('\n');
    line
}

/// Says why no command begins.
#[must_use]
pub fn report_stop(stop: &Stop) -> ExitCode {
    // The settings have not been read whole, so this one is looked for by itself.
    let environment = match stop {
        Stop::Dotenv(_) => Environment::without_dotenv(),
        Stop::CommandLine(_) => {
            Environment::of_process().unwrap_or_else(|_| Environment::without_dotenv())
        }
    };
    let words: Vec<OsString> = std::env::args_os().collect();
    let format = log_format(&words, &environment);
    match stop {
        Stop::CommandLine(config::Stop::CommandLine(error)) => {
            if format == LogFormat::Json && is_failure(error) {
                let text = error.to_string();
                let text = text.trim_end();
                say(format, text.strip_prefix("error: ").unwrap_or(text), "");
            } else {
                // Whoever closed the stream does not want the text.
                drop(error.print());
            }
            u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE).into()
        }
        Stop::CommandLine(config::Stop::Settings(error)) => {
            let hint = "\n\nThe command's --help explains every setting.";
            say(format, &error.to_string(), hint);
            EXIT_USAGE.into()
        }
        Stop::Dotenv(error) => {
            say(format, &error.to_string(), "");
            EXIT_USAGE.into()
        }
    }
}

/// Whether it is an error, rather than the help that was asked for, or is shown to whoever names no command.
fn is_failure(error: &clap::Error) -> bool {
    error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// Says in one line why a command failed; of settings that contradict each other, each by itself.
#[must_use]
pub fn report_failure(error: &anyhow::Error, format: LogFormat) -> ExitCode {
    if let Some(error) = error.downcast_ref::<SettingsError>() {
        say(format, &error.to_string(), "");
        return EXIT_USAGE.into();
    }
    say(format, &failure_line(error), "");
    ExitCode::FAILURE
}

fn failure_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // Many errors repeat what caused them.
        if line.contains(&cause) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&cause);
    }
    let of_database = || {
        error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<sqlx::Error>())
            .filter_map(sqlx::Error::as_database_error)
    };
    // Where in its own source Postgres found out is of no use to anybody here.
    for cause in of_database() {
        line = line.replace(&cause.to_string(), cause.message());
    }
    let line = line.replace(['\r', '\n'], " ");
    let has_code = |code: &str| of_database().any(|cause| cause.code().as_deref() == Some(code));
    if has_code(db::UNDEFINED_TABLE) || has_code(db::UNDEFINED_COLUMN) {
        format!(
            "{line}. The database lacks this version's tables: `gladia-gateway migrate` makes them"
        )
    } else if has_code(db::INSUFFICIENT_PRIVILEGE) {
        format!(
            "{line}. Whoever migrates has to own the tables and be allowed to CREATE in their schema; whoever serves with \
             --no-migrate needs SELECT, INSERT, UPDATE and DELETE in all of them"
        )
    } else {
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_takes_one_line() {
        let error = anyhow::anyhow!("two\nlines")
            .context("inner: two\nlines")
            .context("outer");
        assert_eq!(failure_line(&error), "outer: inner: two lines");
    }
}
