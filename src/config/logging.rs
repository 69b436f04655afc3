//! What is logged.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::Environment;
use crate::telemetry::{LogFilter, LogFormat};

/// What is logged, and how. Every command has these.
#[derive(Args, Debug, Clone)]
pub struct LogSettings {
    /// How log lines look: `text` for people, `json` for machines.
    ///
    /// Example: LOG_FORMAT=json
    #[arg(
        long,
        env,
        global = true,
        help_heading = "Logging",
        value_enum,
        default_value = "text"
    )]
    pub log_format: LogFormat,

    /// What is logged: a level, or levels by module. `info` unless given; `demo` keeps to errors. RUST_LOG works too.
    ///
    /// Example: LOG_LEVEL=info,gladia_gateway::workers=debug
    #[arg(long, env, global = true, help_heading = "Logging")]
    pub log_level: Option<LogFilter>,
}

/// How log lines were to look, where the settings as a whole cannot be used: what the flag says, else the variable.
#[must_use]
pub fn log_format(words: &[OsString], environment: &Environment) -> LogFormat {
    let flag = words.iter().enumerate().find_map(|(at, word)| {
        let rest = word.to_str()?.strip_prefix("--log-format")?;
        if rest.is_empty() {
            return words.get(at + 1)?.to_str().map(str::to_owned);
        }
        rest.strip_prefix('=').map(str::to_owned)
    });
    let said = flag.or_else(|| {
        let (_, value) = environment.look_up("LOG_FORMAT").ok()??;
        value.into_string().ok()
    });
    said.and_then(|said| LogFormat::from_str(&said, false).ok())
        .unwrap_or(LogFormat::Text)
}
