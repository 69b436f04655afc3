//! Asking Gladia for what has not come back: a callback may be lost, and without a public address none comes.
//!
//! A look is claimed with the row, so that of several replicas one asks; then comes one GET, outside any transaction; then
//! its end is carried out like a callback's, or the next look is noted. A process that dies in between leaves a claim that
//! lapses within a minute.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{ERROR_PAUSE, HOLD, call_slots::CallSlots, held, sweep_interval};
use crate::{
    db::{
        attempts::overdue::{self, Due, DueLook, Found, Noted},
        callbacks::CallbackOutcome,
        pool::{Pool, in_long_time, in_time},
        wakeups::Wakeups,
    },
    domain::{
        expected::{Pace, next_after_absence, next_proof_in},
        ids::{AttemptId, Ids},
        words::words,
    },
    gladia::{client::GladiaClient, error::GladiaError},
    journal::fetch::{Fetched, fetch},
};

/// What came of asking, where nothing was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The process is to end.
    BrokenOff,
    /// The database took no note.
    NotKept,
    /// The job is another attempt's.
    Foreign,
    /// Gladia is at work on it.
    Running,
    /// Gladia does not have it.
    Absent,
    /// Gladia did not say.
    NoAnswer,
    /// Nothing will come any more.
    ResultMissing,
}

impl Asked {
    words! {
        /// The name in metrics.
        as_str(self):
        BrokenOff = "broken_off",
        NotKept = "not_kept",
        Foreign = "foreign",
        Running = "running",
        Absent = "absent",
        NoAnswer = "no_answer",
        ResultMissing = "result_missing",
    }
}

/// How many are asked for at once.
const AT_ONCE: usize = 4;

/// Asks for what is due.
#[derive(Clone)]
pub struct Reconciler(Arc<Parts>);

/// What a reconciler works with.
pub struct Parts {
    /// The database.
    pub pool: Pool,
    /// Gladia.
    pub gladia: GladiaClient,
    /// Tells of free slots.
    pub wakeups: Wakeups,
    /// Where ids come from.
    pub ids: Ids,
    /// How often is asked.
    pub pace: Pace,
    /// How long after its acceptance a job is first asked for, if not once it is overdue.
    pub first_look_after: Option<Duration>,
    /// The process's own clock, which has to agree that the time of an attempt is up.
    pub process_now: fn() -> DateTime<Utc>,
}

impl Reconciler {
    /// Makes one.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Asks until told to stop, which also breaks off looks under way in `tasks`: they cost nothing to repeat.
    pub async fn run(self, tasks: TaskTracker, stop: CancellationToken) {
        let slots = CallSlots::new(AT_ONCE);
        while !stop.is_cancelled() {
            let rest = match self.begin_looks(&slots, &tasks, &stop).await {
                Ok(0) => sweep_interval(),
                Ok(_) => Duration::ZERO,
                Err(error) => {
                    tracing::warn!(%error, "Could not find what is to be asked for; trying again");
                    ERROR_PAUSE
                }
            };
            if stop.run_until_cancelled(slots.rest(rest)).await.is_none() {
                return;
            }
        }
    }

    /// Begins as many looks as there are slots for. Returns how many.
    async fn begin_looks(
        &self,
        slots: &CallSlots,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> sqlx::Result<usize> {
        let due = Due {
            first_look_after: self.0.first_look_after,
            hold_for: HOLD,
        };
        let mut free = slots.take_free();
        let limit = i64::try_from(free.len()).unwrap_or_default();
        let mut conn = self.0.pool.acquire().await?;
        let claimed = in_time(overdue::claim(&mut conn, due, limit)).await?;
        drop(conn);
        let begun = claimed.len();
        for look in claimed {
            let (this, stop, turn) = (self.clone(), stop.clone(), free.pop());
            tasks.spawn(async move {
                this.look(&look, &stop).await;
                drop(turn);
            });
        }
        Ok(begun)
    }

    /// Asks for one, and writes down what came of it.
    async fn look(&self, look: &DueLook, stop: &CancellationToken) {
        let fetched = held(fetch(&self.0.gladia, &look.gladia_id, stop), || {
            let (pool, id) = (self.0.pool.clone(), look.id);
            async move { in_time(overdue::renew(&mut *pool.acquire().await?, id, HOLD)).await }
        })
        .await;
        let outcome = match fetched {
            // Due again at once, for another replica.
            Err(_) if stop.is_cancelled() => self
                .release(look.id)
                .await
                .map(|()| Asked::BrokenOff.as_str()),
            fetched => self.carry_out(look, fetched).await,
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(%error, attempt.id = %look.id, "Could not write down what Gladia said of attempt {}; asking again", look.id);
                Asked::NotKept.as_str()
            }
        };
        metrics::counter!("gateway_reconciled_total", "outcome" => outcome).increment(1);
    }

    async fn release(&self, id: AttemptId) -> sqlx::Result<()> {
        let mut conn = self.0.pool.acquire().await?;
        in_time(overdue::renew(&mut conn, id, Duration::ZERO)).await
    }

    async fn carry_out(
        &self,
        look: &DueLook,
        fetched: Result<Fetched, GladiaError>,
    ) -> sqlx::Result<&'static str> {
        let id = look.id;
        let (found, name) = match fetched {
            Ok(Fetched::Ended(job)) if job.attempt_id().is_some_and(|named| named != id) => {
                tracing::error!(attempt.id = %id, "Gladia's job {} was sent by another attempt than {id}; nothing is taken from it", look.gladia_id);
                (Found::NoAnswer, Asked::Foreign.as_str())
            }
            Ok(Fetched::Ended(job)) => {
                let mut conn = self.0.pool.acquire().await?;
                let completing = job.complete(&mut conn, self.0.ids.next(), id);
                let outcome = in_long_time(completing).await?;
                drop(conn);
                // A slot is free, whatever became of the job.
                self.0.wakeups.jobs_changed();
                tracing::info!(attempt.id = %id, outcome = outcome.as_str(), "Asked Gladia for attempt {id}: {}", outcome.as_str());
                match outcome {
                    // Nothing changed, so the next answer is waited for.
                    CallbackOutcome::Quarantined | CallbackOutcome::Duplicate => {
                        (Found::NoAnswer, outcome.as_str())
                    }
                    _ => return Ok(outcome.as_str()),
                }
            }
            Ok(Fetched::Running(_)) => (Found::Running, Asked::Running.as_str()),
            Ok(Fetched::Gone) => (Found::Nothing, Asked::Absent.as_str()),
            Err(error) => {
                tracing::warn!(attempt.id = %id, %error, "Could not ask Gladia for attempt {id}; asking again");
                (Found::NoAnswer, Asked::NoAnswer.as_str())
            }
        };
        let next_look_in = match found {
            Found::Nothing => next_after_absence(rand::random()),
            Found::Running | Found::NoAnswer => {
                let looks = u32::try_from(look.looks).unwrap_or_default();
                self.0.pace.next_look_in(looks, rand::random())
            }
        };
        let soon = look.unproven_for_seconds.map(|seconds| {
            let waited = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            next_proof_in(waited, rand::random())
        });
        let next_look_in = soon.map_or(next_look_in, |soon| soon.min(next_look_in));
        let mut conn = self.0.pool.acquire().await?;
        let process_now = (self.0.process_now)();
        let noting = overdue::note(&mut conn, id, found, next_look_in, process_now);
        let noted = in_time(noting).await?;
        if let Noted::ResultMissing { is_kept: true } | Noted::Over { is_kept: true } = noted {
            tracing::error!(attempt.id = %id, found = name, "Gladia did not confirm the success of attempt {id} that called back; it is quarantined, and `callbacks replay` carries it out");
        }
        if let Noted::ResultMissing { is_kept } = noted {
            if !is_kept {
                tracing::error!(attempt.id = %id, found = name, "Nothing ever came of attempt {id}; its slot is given back");
            }
            metrics::counter!("gateway_slots_expired_total").increment(1);
            self.0.wakeups.jobs_changed();
            return Ok(Asked::ResultMissing.as_str());
        }
        Ok(name)
    }
}
