//! The trace that a request belongs to, by its headers.

use std::time::SystemTime;

use axum::http::{HeaderMap, HeaderName};
use tokio::task::futures::TaskLocalFuture;

use crate::{
    domain::trace_context::TraceContext,
    trace::{self, Span, Stretch},
};

/// The field of the request's log span that names the trace.
pub const LOG_FIELD: &str = "trace.id";

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What a request came with.
#[derive(Debug, Clone)]
pub struct Incoming {
    context: Option<TraceContext>,
    came_at: SystemTime,
}

tokio::task_local! {
    static INCOMING: Incoming;
}

impl Incoming {
    /// Reads the headers. What is malformed counts as not there.
    #[must_use]
    pub fn now(headers: &HeaderMap) -> Self {
        let all = |name: &HeaderName| -> Vec<&str> {
            let values = headers.get_all(name).into_iter();
            // One that is no text is malformed like any other.
            values.map(|value| value.to_str().unwrap_or("=")).collect()
        };
        Self {
            context: TraceContext::from_headers(&all(&TRACEPARENT), &all(&TRACESTATE)),
            came_at: trace::now(),
        }
    }

    /// The trace as logs name it.
    #[must_use]
    pub fn trace_name(&self) -> Option<String> {
        let context = self.context.as_ref()?;
        Some(context.traceparent.trace_name())
    }

    /// Handles the request.
    pub fn scope<F: Future>(self, handled: F) -> TaskLocalFuture<Self, F> {
        INCOMING.scope(self, handled)
    }
}

/// The span of a request that makes jobs, from its first byte on. What becomes of them belongs below.
#[must_use]
pub fn accepting() -> Span {
    let incoming = INCOMING.try_with(Clone::clone).unwrap_or(Incoming {
        context: None,
        came_at: trace::now(),
    });
    let span = Span::began_at(Stretch::Accept, incoming.context.as_ref(), incoming.came_at);
    // One that the caller named is in the log already.
    if incoming.context.is_none()
        && let Some(context) = span.context()
    {
        let name = context.traceparent.trace_name();
        tracing::Span::current().record(LOG_FIELD, name);
    }
    span
}
