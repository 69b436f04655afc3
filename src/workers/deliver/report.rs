//! What operators see of a delivery: its line in the log, its metrics and its span.

use crate::{
    db::deliveries::{ClaimedDelivery, Contents, Next},
    domain::{millis::whole_ms, words::words},
    notify::message::Sent,
    trace::{Fact, Span, Stretch},
};

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// Its receiver has it.
    Delivered,
    /// It is tried again.
    Failed,
    /// It is not tried again.
    Dead,
    /// Its end was not seen.
    Interrupted,
}

impl Reported {
    words! {
        /// The name in logs and metrics.
        as_str(self):
        Delivered = "delivered",
        Failed = "failed",
        Dead = "dead",
        Interrupted = "interrupted",
    }
}

/// Whom a delivery is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An endpoint.
    Webhook,
    /// Whoever a request named.
    Callback,
}

impl Kind {
    words! {
        /// The name in metrics.
        as_str(self):
        Webhook = "webhook",
        Callback = "callback",
    }
}

pub(super) fn begin_span(delivery: &ClaimedDelivery, contents: &Contents) -> Span {
    let mut span = Span::begin(Stretch::Tell, contents.trace.as_ref());
    if let Some(job_id) = contents.event.job_id() {
        span.add(Fact::Job(job_id));
    }
    span.add(Fact::Delivery(delivery.id));
    span.add(Fact::Try(delivery.tries));
    span
}

pub(super) fn describe(span: &mut Span, sent: &Sent) {
    span.add(match &sent.error {
        None => Fact::Outcome("delivered"),
        Some(error) => Fact::Failure(error.code.as_str()),
    });
    if let Some(status) = sent.http_status {
        span.add(Fact::HttpStatus(status));
    }
}

/// Tells operators of a try, without addresses and content.
pub(super) fn report(delivery: &ClaimedDelivery, sent: &Sent, next: Next) {
    let reported = match next {
        Next::Delivered => Reported::Delivered,
        Next::Dead(_) => Reported::Dead,
        Next::TryAgain { .. } | Next::GiveBack { .. } => Reported::Failed,
    };
    let name = reported.as_str();
    count(delivery, reported);
    metrics::histogram!("gateway_delivery_duration_seconds").record(sent.duration.as_secs_f64());
    let error = sent.error.as_ref().map(|error| error.code.as_str());
    let endpoint_id = delivery.endpoint_id.map(tracing::field::display);
    tracing::info!(
        delivery.id = %delivery.id, endpoint.id = endpoint_id, tries = delivery.tries, outcome = name,
        http.status = sent.http_status, error, elapsed_ms = whole_ms(sent.duration),
        "Sent delivery {}: {name}", delivery.id
    );
}

pub(super) fn count(delivery: &ClaimedDelivery, reported: Reported) {
    let kind = match delivery.endpoint_id {
        Some(_) => Kind::Webhook,
        None => Kind::Callback,
    };
    let (outcome, kind) = (reported.as_str(), kind.as_str());
    metrics::counter!("gateway_deliveries_total", "outcome" => outcome, "kind" => kind)
        .increment(1);
}
