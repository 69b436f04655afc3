//! `serve`: the gateway, until a signal ends it.

use std::process::ExitCode;

use crate::{app, config::ServeSettings, shutdown::Shutdown, trace};

/// Runs the gateway.
///
/// # Errors
/// Where it cannot start, or something that it cannot run without fails.
pub async fn run(settings: ServeSettings, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    let spans = &settings.spans;
    let exporter = trace::export_to(
        spans.otel_exporter_otlp_endpoint.as_ref(),
        spans.otel_service_name.as_deref(),
    )?;
    let served = app::serve(settings, shutdown).await;
    exporter.finish().await;
    served?;
    Ok(ExitCode::SUCCESS)
}
