//! `serve`: the gateway, until a signal ends it.

use std::process::ExitCode;

use crate::{app, config::ServeSettings, shutdown::Shutdown};

/// Runs the gateway.
///
/// # Errors
/// Where it cannot start, or something that it cannot run without fails.
pub async fn run(settings: ServeSettings, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    app::serve(settings, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}
