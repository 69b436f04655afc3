//! A collector of OpenTelemetry spans.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use tokio::net::TcpListener;

/// The header that it wants to see.
pub const COLLECTOR_KEY: (&str, &str) = ("x-collector-key", "collector-key-of-the-tests");

type Spans = Arc<Mutex<Vec<CollectedSpan>>>;

/// A span as it arrived.
#[derive(Debug, Clone)]
pub struct CollectedSpan {
    pub service: String,
    pub name: String,
    pub trace_id: String,
    pub span_id: String,
    pub parent_id: String,
    pub tracestate: String,
    pub began_at: u64,
    pub ended_at: u64,
    pub failed: bool,
    pub attributes: BTreeMap<String, String>,
}

/// Takes spans over OTLP, below `/base`.
pub struct Collector {
    address: SocketAddr,
    spans: Spans,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let spans = Spans::default();
        let router = Router::new()
            .route("/base/v1/traces", post(take))
            .with_state(Arc::clone(&spans));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { address, spans }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` has to be.
    pub fn endpoint(&self) -> String {
        format!("http://{}/base/", self.address)
    }

    /// The spans of a trace, by their names and then by when they began.
    pub fn trace(&self, trace_id: &str) -> Vec<CollectedSpan> {
        let mut spans = self.spans();
        spans.retain(|span| span.trace_id == trace_id);
        spans.sort_by(|a, b| (&a.name, a.began_at).cmp(&(&b.name, b.began_at)));
        spans
    }

    pub fn spans(&self) -> Vec<CollectedSpan> {
        self.spans.lock().unwrap().clone()
    }
}

async fn take(State(spans): State<Spans>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let (name, value) = COLLECTOR_KEY;
    assert_eq!(headers[name], value);
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for resource in request.resource_spans {
        let about = attributes(resource.resource.unwrap().attributes);
        let theirs = resource.scope_spans.into_iter().flat_map(|it| it.spans);
        let theirs = theirs.map(|span| collected(&about["service.name"], span));
        spans.lock().unwrap().extend(theirs);
    }
    StatusCode::OK
}

fn collected(service: &str, span: Span) -> CollectedSpan {
    CollectedSpan {
        service: service.to_owned(),
        name: span.name,
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        tracestate: span.trace_state,
        began_at: span.start_time_unix_nano,
        ended_at: span.end_time_unix_nano,
        // STATUS_CODE_ERROR.
        failed: span.status.is_some_and(|status| status.code == 2),
        attributes: attributes(span.attributes),
    }
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    let shown = |pair: KeyValue| match pair.value?.value? {
        Value::StringValue(text) => Some((pair.key, text)),
        Value::IntValue(number) => Some((pair.key, number.to_string())),
        other => Some((pair.key, format!("{other:?}"))),
    };
    pairs.into_iter().filter_map(shown).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |hex: String, byte: &u8| hex + &format!("{byte:02x}");
    bytes.iter().fold(String::new(), digit)
}
