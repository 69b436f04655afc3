//! What operators see of a delivery: its line in the log, its metrics and its span.

use crate::{
    db::deliveries::{ClaimedDelivery, Contents, Next},
    notify::message::Sent,
    trace::{Fact, Span, Stretch},
};

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
    let name = match next {
        Next::Delivered => "delivered",
        Next::Dead(_) => "dead",
        Next::TryAgain { .. } | Next::GiveBack { .. } => "failed",
    };
    count(delivery, name);
    metrics::histogram!("gateway_delivery_duration_seconds").record(sent.duration.as_secs_f64());
    let error = sent.error.as_ref().map(|error| error.code.as_str());
    let endpoint_id = delivery.endpoint_id.map(tracing::field::display);
    tracing::info!(
        delivery.id = %delivery.id, endpoint.id = endpoint_id, tries = delivery.tries, outcome = name,
        http.status = sent.http_status, error, elapsed_ms = sent.duration.as_millis(),
        "Sent delivery {}: {name}", delivery.id
    );
}

pub(super) fn count(delivery: &ClaimedDelivery, outcome: &'static str) {
    let kind = match delivery.endpoint_id {
        Some(_) => "webhook",
        None => "callback",
    };
    metrics::counter!("gateway_deliveries_total", "outcome" => outcome, "kind" => kind)
        .increment(1);
}
