//! Where the spans of jobs go.

use clap::Args;
use url::Url;

use super::values::base_url;

/// Where the spans of jobs go.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Tracing")]
pub struct SpanSettings {
    /// The OpenTelemetry collector that gets the spans of each transcription's way, over OTLP/HTTP. Nothing is exported
    /// without it.
    ///
    /// /v1/traces is added to it. OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_TRACES_SAMPLER,
    /// OTEL_RESOURCE_ATTRIBUTES and OTEL_BSP_* count as the OpenTelemetry specification says, from the environment alone.
    /// Needs a build with the feature otel, which the production image is.
    ///
    /// Example: OTEL_EXPORTER_OTLP_ENDPOINT=http://collector.internal:4318
    #[arg(long, env, value_name = "URL", value_parser = base_url)]
    pub otel_exporter_otlp_endpoint: Option<Url>,

    /// The name of this service in traces. Unless set, it is that of OTEL_RESOURCE_ATTRIBUTES, or else gladia-gateway.
    ///
    /// Example: OTEL_SERVICE_NAME=gladia-gateway-staging
    #[arg(long, env, value_name = "NAME")]
    pub otel_service_name: Option<String>,
}
