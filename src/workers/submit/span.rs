//! What is measured and traced of a submission.

use crate::{
    db::claims::ClaimedJob,
    domain::attempt::SubmitOutcome,
    trace::{self, Fact, Span, Stretch},
};

/// Measures the wait that the claim has ended. The span that comes is of what follows it.
pub(super) fn measure_wait(job: &ClaimedJob) -> Span {
    let waited = job.claimed_at - job.waited_since;
    metrics::histogram!("gateway_job_state_seconds", "state" => "queued")
        .record(waited.to_std().unwrap_or_default().as_secs_f64());
    let facts = [
        Fact::Job(job.job_id),
        Fact::Attempt(job.attempt_id),
        Fact::AttemptNumber(job.attempt_number),
    ];
    let above = job.trace.as_ref();
    let (since, until) = (job.waited_since.into(), job.claimed_at.into());
    trace::add(Stretch::Queue, above, since, until, &facts);
    let mut span = Span::begin(Stretch::Submit, above);
    for fact in facts {
        span.add(fact);
    }
    span
}

/// Says how it went.
pub(super) fn describe(span: &mut Span, outcome: &SubmitOutcome) {
    span.add(match outcome {
        SubmitOutcome::Accepted { .. } => Fact::Outcome(outcome.name()),
        _ => Fact::Failure(outcome.name()),
    });
    if let Some(status) = outcome.http_status() {
        span.add(Fact::HttpStatus(status));
    }
}
