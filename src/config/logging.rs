//! What is logged.

use clap::Args;

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
