//! What account webhooks tell: that Gladia has a job, and that one has ended.
//!
//! A message holds nothing but an id, so Gladia is asked, once: the job's metadata name the attempt that sent it, which is
//! then known to be accepted, and a result that is there is carried out like a callback. Most messages tell what came
//! another way by then, and cost nothing.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{ERROR_PAUSE, HOLD, call_slots::CallSlots, held, sweep_interval};
use crate::{
    db::{
        attempts::adoption::{Adopted, FoundBy, adopt},
        callbacks::CallbackOutcome,
        pool::{Pool, in_long_time, in_time},
        wakeups::Wakeups,
        webhook_messages::{self, DueMessage},
    },
    domain::{
        ids::{AttemptId, Ids},
        webhook::{WebhookEvent, WebhookOutcome, is_gone, next_try_in},
    },
    gladia::{client::GladiaClient, error::GladiaError},
    journal::fetch::{Fetched, fetch},
};

/// How many messages are handled at once.
const AT_ONCE: usize = 4;

/// How often old messages are forgotten.
const FORGET_INTERVAL: Duration = Duration::from_mins(10);

/// Handles messages.
#[derive(Clone)]
pub struct WebhookHandler(Arc<Parts>);

/// What a handler works with.
pub struct Parts {
    /// The database.
    pub pool: Pool,
    /// Gladia.
    pub gladia: GladiaClient,
    /// Tells of free slots.
    pub wakeups: Wakeups,
    /// Where ids come from.
    pub ids: Ids,
    /// Whether Gladia keeps nothing. Then it is asked for nothing.
    pub zero_data_retention: bool,
}

/// Why a message is not handled yet.
enum Failure {
    Gladia(GladiaError),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<GladiaError> for Failure {
    fn from(error: GladiaError) -> Self {
        Self::Gladia(error)
    }
}

impl WebhookHandler {
    /// Makes one.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Handles messages until told to stop, which also breaks off questions under way in `tasks`.
    pub async fn run(self, tasks: TaskTracker, stop: CancellationToken) {
        let slots = CallSlots::new(AT_ONCE);
        let mut forgets_at = Instant::now();
        while !stop.is_cancelled() {
            let rest = match self.sweep(&slots, &tasks, &mut forgets_at, &stop).await {
                Ok(0) => sweep_interval(),
                Ok(_) => Duration::ZERO,
                Err(error) => {
                    tracing::warn!(%error, "Could not look for account webhooks; trying again");
                    ERROR_PAUSE
                }
            };
            if stop.run_until_cancelled(slots.rest(rest)).await.is_none() {
                return;
            }
        }
    }

    /// Begins what is due, as far as there are slots for it. Returns how much.
    async fn sweep(
        &self,
        slots: &CallSlots,
        tasks: &TaskTracker,
        forgets_at: &mut Instant,
        stop: &CancellationToken,
    ) -> sqlx::Result<usize> {
        let mut conn = self.0.pool.acquire().await?;
        if Instant::now() >= *forgets_at {
            while in_time(webhook_messages::forget(&mut conn)).await? > 0 {}
            *forgets_at = Instant::now() + FORGET_INTERVAL;
        }
        let mut free = slots.take_free();
        let limit = i64::try_from(free.len()).unwrap_or_default();
        let claimed = in_time(webhook_messages::claim(&mut conn, HOLD, limit)).await?;
        let begun = claimed.len();
        for message in claimed {
            let (this, stop, turn) = (self.clone(), stop.clone(), free.pop());
            tasks.spawn(async move {
                let handled = held(this.handle(&message, &stop), || {
                    let (pool, id) = (this.0.pool.clone(), message.id.clone());
                    async move {
                        in_time(webhook_messages::renew(&mut *pool.acquire().await?, &id, HOLD)).await
                    }
                })
                .await;
                if let Err(error) = in_time(this.note(&message, handled, &stop)).await {
                    tracing::warn!(%error, webhook.id = message.id, "Could not note what came of an account webhook; trying again");
                }
                drop(turn);
            });
        }
        Ok(begun)
    }

    /// Finds out what a message means, and carries it out.
    async fn handle(
        &self,
        message: &DueMessage,
        stop: &CancellationToken,
    ) -> Result<WebhookOutcome, Failure> {
        let gladia_id = &message.gladia_id;
        let known = {
            let mut conn = self.0.pool.acquire().await?;
            in_time(webhook_messages::find_attempt(&mut conn, gladia_id)).await?
        };
        let is_created = message.event == WebhookEvent::Created;
        if known.is_some_and(|attempt| is_created || attempt.has_ended) {
            return Ok(WebhookOutcome::Known);
        }
        if self.0.zero_data_retention {
            return Ok(WebhookOutcome::GivenUp);
        }
        let (job, has_ended) = match fetch(&self.0.gladia, gladia_id, stop).await? {
            Fetched::Gone if is_gone(message.tries) => return Ok(WebhookOutcome::Gone),
            Fetched::Gone => {
                let detail = "it does not have the job any more, or not yet";
                return Err(GladiaError::Unexpected(detail.into()).into());
            }
            Fetched::Running(job) => (job, false),
            Fetched::Ended(job) => (job, true),
        };
        let mut conn = self.0.pool.acquire().await?;
        let mut learnt = WebhookOutcome::Known;
        let attempt_id = if let Some(attempt) = known {
            attempt.id
        } else {
            let Some(id) = job.attempt_id() else {
                return Ok(WebhookOutcome::Foreign);
            };
            match in_time(adopt(&mut conn, id, gladia_id, FoundBy::Webhook)).await? {
                Adopted::Adopted => {
                    tracing::warn!(attempt.id = %id, "An account webhook tells that Gladia has attempt {id}");
                    self.0.wakeups.jobs_changed();
                    learnt = WebhookOutcome::Adopted;
                }
                Adopted::Known => {}
                // The attempt answers for another job of Gladia's, or another attempt for this one.
                Adopted::Surplus | Adopted::Taken => return Ok(WebhookOutcome::Known),
                // Another gateway's, on the same account.
                Adopted::UnknownAttempt => return Ok(WebhookOutcome::Foreign),
            }
            id
        };
        if has_ended {
            let id = self.0.ids.next();
            let outcome = in_long_time(job.complete(&mut conn, id, attempt_id)).await?;
            return Ok(self.told(attempt_id, outcome).unwrap_or(learnt));
        }
        if is_created {
            return Ok(learnt);
        }
        // The message came ahead of what Gladia answers.
        Err(GladiaError::Unexpected("a job that has ended is still at work".into()).into())
    }

    /// What it means that a job was carried out. `None`: it changed nothing.
    fn told(&self, id: AttemptId, outcome: CallbackOutcome) -> Option<WebhookOutcome> {
        // A slot is free, whatever became of the job.
        self.0.wakeups.jobs_changed();
        tracing::info!(attempt.id = %id, outcome = outcome.as_str(), "Asked Gladia for attempt {id} after an account webhook: {}", outcome.as_str());
        matches!(
            outcome,
            CallbackOutcome::Completed
                | CallbackOutcome::Failed
                | CallbackOutcome::Superseded
                | CallbackOutcome::Discarded
        )
        .then_some(WebhookOutcome::Completed)
    }

    /// Writes down what came of a message, or when it is tried again.
    async fn note(
        &self,
        message: &DueMessage,
        handled: Result<WebhookOutcome, Failure>,
        stop: &CancellationToken,
    ) -> sqlx::Result<()> {
        let outcome = match handled {
            Ok(outcome) => outcome,
            Err(Failure::Database(error)) => return Err(error),
            // Due again at once, for another replica.
            Err(Failure::Gladia(_)) if stop.is_cancelled() => {
                let mut conn = self.0.pool.acquire().await?;
                return webhook_messages::renew(&mut conn, &message.id, Duration::ZERO).await;
            }
            Err(Failure::Gladia(error)) => {
                let next = next_try_in(message.tries, rand::random());
                tracing::warn!(webhook.id = message.id, %error, "Could not ask Gladia what an account webhook is about");
                if let Some(delay) = next {
                    let mut conn = self.0.pool.acquire().await?;
                    return webhook_messages::postpone(&mut conn, &message.id, 1, delay).await;
                }
                WebhookOutcome::GivenUp
            }
        };
        metrics::counter!("gateway_webhooks_handled_total", "outcome" => outcome.as_str())
            .increment(1);
        let mut conn = self.0.pool.acquire().await?;
        webhook_messages::finish(&mut conn, &message.id, outcome).await
    }
}
