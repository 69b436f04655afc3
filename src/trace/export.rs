//! Spans over OTLP: batched by a thread of the SDK's, and sent as protobuf over HTTP.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
        TraceState, Tracer as _, TracerProvider as _,
    },
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider, Span},
};
use url::Url;

use super::{Fact, Stretch};
use crate::domain::trace_context::{TraceContext, TraceParent};

/// How long the last spans may take to leave.
const LAST_SPANS: Duration = Duration::from_secs(5);

/// The name of the service in traces, where nobody gives another.
const SERVICE_NAME: &str = "gladia-gateway";

/// What makes spans, once a collector is named.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// What sends spans.
#[derive(Debug)]
pub struct Exporter(Option<SdkTracerProvider>);

/// Sends spans to a collector from now on, once in the life of the process. The path of OTLP's traces is added to its
/// address, as its specification has it.
///
/// # Errors
/// Where the address or another `OTEL_*` variable is wrong.
pub fn export_to(collector: Option<&Url>, service_name: Option<&str>) -> anyhow::Result<Exporter> {
    let Some(collector) = collector else {
        return Ok(Exporter(None));
    };
    let endpoint = format!("{}/v1/traces", collector.as_str().trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .build()
        .context("OTEL_EXPORTER_OTLP_ENDPOINT: spans cannot be exported")?;
    let has_another = std::env::var("OTEL_RESOURCE_ATTRIBUTES")
        .is_ok_and(|attributes| names_the_service(&attributes));
    let service_name = service_name.or((!has_another).then_some(SERVICE_NAME));
    let mut resource = Resource::builder();
    if let Some(name) = service_name {
        resource = resource.with_service_name(name.to_owned());
    }
    let resource = resource
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build();
    let is_first = TRACER.set(provider.tracer("gladia-gateway")).is_ok();
    anyhow::ensure!(is_first, "spans are exported already");
    Ok(Exporter(Some(provider)))
}

/// Whether `OTEL_RESOURCE_ATTRIBUTES` says what the service is called.
fn names_the_service(attributes: &str) -> bool {
    let names = attributes
        .split(',')
        .filter_map(|pair| pair.split_once('='));
    names
        .into_iter()
        .any(|(name, _)| name.trim() == "service.name")
}

impl Exporter {
    /// Sends what is left.
    pub async fn finish(self) {
        let Some(provider) = self.0 else { return };
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_SPANS));
        if let Ok(Err(error)) = ended.await {
            tracing::warn!(%error, "The last spans may not have reached the collector");
        }
    }
}

/// A span that is recorded, unless its trace is not sampled.
pub(super) struct Live(Span);

pub(super) fn begin(
    stretch: Stretch,
    parent: Option<&TraceContext>,
    at: SystemTime,
) -> Option<Live> {
    let tracer = TRACER.get()?;
    // Traces begin with requests. A job that came without one, before anything was exported, has none.
    if parent.is_none() && stretch != Stretch::Accept {
        return None;
    }
    let builder = tracer
        .span_builder(stretch.as_str())
        .with_kind(kind(stretch))
        .with_start_time(at);
    // Never below what happens to be the current context: it is of another job.
    let above = match parent {
        Some(parent) => Context::new().with_remote_span_context(span_context(parent)),
        None => Context::new(),
    };
    Some(Live(builder.start_with_context(tracer, &above)))
}

impl Live {
    pub(super) fn traceparent(&self) -> Option<TraceParent> {
        let context = self.0.span_context();
        TraceParent::new(
            u128::from_be_bytes(context.trace_id().to_bytes()),
            u64::from_be_bytes(context.span_id().to_bytes()),
            context.trace_flags().to_u8(),
        )
    }

    pub(super) fn add(&mut self, fact: Fact) {
        self.0.set_attribute(attribute(fact));
        if let Fact::Failure(name) = fact {
            self.0.set_status(Status::error(name));
        }
    }

    pub(super) fn end_at(mut self, at: SystemTime) {
        self.0.end_with_timestamp(at);
    }
}

fn span_context(context: &TraceContext) -> SpanContext {
    let TraceContext {
        traceparent,
        tracestate,
    } = context;
    let tracestate = tracestate
        .as_ref()
        .and_then(|state| state.as_str().parse::<TraceState>().ok());
    SpanContext::new(
        TraceId::from(traceparent.trace_id()),
        SpanId::from(traceparent.span_id()),
        TraceFlags::new(traceparent.flags()),
        true,
        tracestate.unwrap_or_default(),
    )
}

fn kind(stretch: Stretch) -> SpanKind {
    match stretch {
        Stretch::Accept | Stretch::Complete => SpanKind::Server,
        Stretch::Submit | Stretch::Tell => SpanKind::Client,
        Stretch::Queue | Stretch::UpstreamWait => SpanKind::Internal,
    }
}

fn attribute(fact: Fact) -> KeyValue {
    match fact {
        Fact::Job(id) => KeyValue::new("job.id", id.to_string()),
        Fact::Batch(id) => KeyValue::new("batch.id", id.to_string()),
        Fact::Jobs(count) => KeyValue::new("batch.jobs", i64::try_from(count).unwrap_or(i64::MAX)),
        Fact::Attempt(id) => KeyValue::new("attempt.id", id.to_string()),
        Fact::AttemptNumber(number) => KeyValue::new("attempt.number", i64::from(number)),
        Fact::Delivery(id) => KeyValue::new("delivery.id", id.to_string()),
        Fact::Try(number) => KeyValue::new("delivery.try", i64::from(number)),
        Fact::HttpStatus(status) => KeyValue::new("http.response.status_code", i64::from(status)),
        Fact::Outcome(name) | Fact::Failure(name) => KeyValue::new("outcome", name),
    }
}
