//! Committing a callback with what it changes.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::{Instant, timeout_at};

use super::{Arrival, Content, Intake, Received};
use crate::{
    db::{
        self,
        callbacks::{
            CallbackOutcome,
            to_fetch::{self, CallbackToFetch},
        },
    },
    domain::ids::CallbackId,
    journal::carry_out::carry_out,
};

impl Intake {
    /// Commits a callback that arrives with what it changes: with others, or else alone.
    pub(super) async fn commit(
        &self,
        arrival: Arrival,
        content: &Content,
        bound: Duration,
    ) -> sqlx::Result<CallbackOutcome> {
        let deadline = Instant::now() + bound;
        let received = arrival.received(content);
        let outcome = match self.commit_in_group(arrival, content).await {
            Some(outcome) => Ok(outcome),
            None => self.commit_alone(&received, deadline).await,
        };
        self.noted(&received, outcome)
    }

    /// Commits a callback with what it changes, from the spool.
    ///
    /// # Errors
    /// Where the database does not answer. The callback is to be kept.
    pub async fn commit_later(&self, received: &Received<'_>) -> sqlx::Result<CallbackOutcome> {
        let deadline = Instant::now() + received.content.commit_timeout();
        let outcome = self.commit_alone(received, deadline).await;
        self.noted(received, outcome)
    }

    fn noted(
        &self,
        received: &Received<'_>,
        outcome: sqlx::Result<CallbackOutcome>,
    ) -> sqlx::Result<CallbackOutcome> {
        match outcome {
            Ok(CallbackOutcome::UnknownAttempt) => {}
            Ok(outcome) => {
                // A slot is free, whatever became of the job.
                self.wakeups.slot_given_back();
                // Whoever quarantines one has said so, with the reason.
                if outcome != CallbackOutcome::Quarantined {
                    tracing::info!(
                        attempt.id = %received.attempt_id,
                        outcome = outcome.as_str(),
                        body_bytes = received.content.bytes(),
                        "Received a callback of attempt {}: {}",
                        received.attempt_id,
                        outcome.as_str()
                    );
                }
            }
            Err(ref error) if db::is_unavailable(error) => self.set_away(true),
            Err(_) => {}
        }
        outcome
    }

    async fn commit_alone(
        &self,
        received: &Received<'_>,
        deadline: Instant,
    ) -> sqlx::Result<CallbackOutcome> {
        let mut conn = self.pool.acquire_by(deadline).await?;
        let outcome = timeout_at(deadline, self.record(&mut conn, received)).await;
        let outcome = conn.settle(outcome)?;
        count(outcome);
        Ok(outcome)
    }

    async fn record(
        &self,
        conn: &mut PgConnection,
        received: &Received<'_>,
    ) -> sqlx::Result<CallbackOutcome> {
        let id: CallbackId = self.ids.next();
        let Received {
            attempt_id, method, ..
        } = *received;
        let body = match received.content {
            Content::Beginning(seen) => {
                let too_large = CallbackToFetch {
                    id,
                    attempt_id,
                    method,
                    received_at: seen.received_at,
                    gladia_id: seen.gladia_id.as_deref(),
                    seen_bytes: seen.seen_bytes,
                    seen_sha256: seen.seen_sha256,
                    compressed_body: None,
                };
                return to_fetch::note_too_large(conn, &too_large).await;
            }
            Content::Whole(body) => body,
        };
        if let Some(completion) = body.success().filter(|_| self.wants_proof) {
            let unproven = CallbackToFetch {
                id,
                attempt_id,
                method,
                received_at: body.received_at(),
                gladia_id: Some(&completion.gladia_id),
                seen_bytes: body.body_bytes(),
                seen_sha256: body.body_sha256(),
                compressed_body: Some(body.compressed().zstd),
            };
            if let Some(outcome) = to_fetch::note_unproven(conn, &unproven).await? {
                return Ok(outcome);
            }
        }
        carry_out(conn, id, attempt_id, method, body, Some(&self.announcer)).await
    }
}

/// Counts what was done, where it was done: whoever waited for it may have gone.
pub(super) fn count(outcome: CallbackOutcome) {
    if outcome != CallbackOutcome::UnknownAttempt {
        metrics::counter!("gateway_callbacks_total", "outcome" => outcome.as_str()).increment(1);
    }
}
