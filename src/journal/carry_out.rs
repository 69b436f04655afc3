//! Carrying a callback out: the same for one that arrives and for one that was kept and is tried again.

use std::time::{Duration, SystemTime};

use sqlx::PgConnection;
use tokio::time::Instant;

use super::{announce::Announcer, body::KeptBody};

use crate::{
    db::{
        self,
        callbacks::{self, CallbackOutcome, ReceivedCallback, called_back::CalledBack, quarantine},
    },
    domain::ids::{AttemptId, CallbackId},
    gladia::callback::Report,
    trace::{self, Fact, Stretch},
};

/// How often a callback that lost against another transaction is tried.
const TRIES: u32 = 3;

/// How long it steps aside for the other one, the first time.
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);

/// Carries out what a body says; or, where that fails for a reason that will not go away, keeps it for somebody to look at.
///
/// With an announcer others may be told with the same commit; without one that is left to the sequencer.
///
/// `method` is how it came: `GET` where it was fetched. Whoever fetches looks first whether the job has ended, since the body
/// of one that runs would be kept as one that cannot be understood.
///
/// # Errors
/// Where the database does not answer. Nothing is kept then.
pub async fn carry_out(
    conn: &mut PgConnection,
    id: CallbackId,
    attempt_id: AttemptId,
    method: &str,
    body: &KeptBody,
    announcer: Option<&Announcer>,
) -> sqlx::Result<CallbackOutcome> {
    let callback = received(id, attempt_id, method, body);
    let mut tries = 1;
    loop {
        let since = Instant::now();
        let tells = announcer.and_then(Announcer::tells);
        let mut recorded = callbacks::record(conn, &callback, tells.as_ref()).await;
        if let Ok(recorded) = &mut recorded {
            // First of all, since callers wait.
            if let Some(announcer) = announcer {
                announcer.announce(recorded.announced.take(), since);
            }
            if let Some(called_back) = &recorded.of {
                observe(attempt_id, recorded.outcome, called_back, body.arrived_at());
            }
            if let Some(reason) = recorded.reason.as_deref()
                && recorded.outcome == CallbackOutcome::Quarantined
            {
                tracing::warn!(
                    attempt.id = %attempt_id, callback.id = %id, method, body_bytes = body.body_bytes(), reason,
                    "Quarantined a callback of attempt {attempt_id}: {reason}; `callbacks show {id}` prints it"
                );
            }
        }
        match recorded.map(|recorded| recorded.outcome) {
            Err(error) if db::is_conflict(&error) && tries < TRIES => {
                tokio::time::sleep(CONFLICT_PAUSE * tries).await;
                tries += 1;
            }
            Err(error) if !db::is_unavailable(&error) => {
                tracing::error!(%error, attempt.id = %attempt_id, callback.id = %id, "Could not carry out a callback");
                let outcome = quarantine::keep(conn, &callback, "carrying it out failed").await?;
                if outcome == CallbackOutcome::Quarantined {
                    tracing::error!(attempt.id = %attempt_id, callback.id = %id, "Quarantined a callback of attempt {attempt_id} that could not be carried out; `callbacks show {id}` prints it");
                }
                return Ok(outcome);
            }
            result => return result,
        }
    }
}

/// What a body says, as the database is told it.
pub(super) fn received<'a>(
    id: CallbackId,
    attempt_id: AttemptId,
    method: &'a str,
    body: &'a KeptBody,
) -> ReceivedCallback<'a> {
    ReceivedCallback {
        id,
        attempt_id,
        method,
        received_at: body.received_at(),
        compressed_body: body.compressed(),
        body_bytes: body.body_bytes(),
        body_sha256: body.body_sha256(),
        completion: match body.report() {
            Ok(Report::Ended(completion)) => Ok(completion),
            Ok(Report::Running { .. }) => Err("the job has not ended"),
            Err(reason) => Err(reason),
        },
    }
}

/// Measures the wait that is over, and what it took to end it.
pub(super) fn observe(
    attempt_id: AttemptId,
    outcome: CallbackOutcome,
    of: &CalledBack,
    arrived_at: SystemTime,
) {
    if matches!(
        outcome,
        CallbackOutcome::Completed | CallbackOutcome::Failed
    ) && of.waited_since.is_some()
    {
        metrics::histogram!("gateway_job_state_seconds", "state" => "processing")
            .record(of.waited.as_secs_f64());
    }
    let mut facts = vec![
        Fact::Job(of.job_id),
        Fact::Attempt(attempt_id),
        Fact::AttemptNumber(of.attempt_number),
    ];
    let above = of.trace.as_ref();
    if let Some(waited_since) = of.waited_since {
        let stretch = Stretch::UpstreamWait;
        trace::add(stretch, above, waited_since.into(), arrived_at, &facts);
    }
    facts.push(match outcome {
        CallbackOutcome::Quarantined => Fact::Failure(outcome.as_str()),
        _ => Fact::Outcome(outcome.as_str()),
    });
    let stretch = Stretch::Complete;
    trace::add(stretch, above, arrived_at, trace::now(), &facts);
}
