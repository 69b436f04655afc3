//! Deleting Gladia's copies of what was erased here, and of what Gladia has twice.
//!
//! Gladia refuses while it is at work on a job, so a deletion may take hours; it is tried at growing intervals, by
//! whichever replica claims it. The claim is committed before the call.

use std::{ops::ControlFlow, sync::Arc};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{ERROR_PAUSE, sweep_interval};
use crate::{
    db::{
        pool::{Pool, in_long_time, in_time},
        upstream_deletions::{self, DeletionOutcome, DueDeletion, Noted},
        wakeups::Wakeups,
    },
    domain::{expected::next_after_absence, words::words},
    gladia::{client::GladiaClient, delete::Deletion},
};

/// How many are under way at once in a process: enough for some dozens a second, and not more than one client may ask of Gladia.
const AT_ONCE: usize = 16;

/// How many of them write down at once what Gladia answered: connections are needed by others.
const NOTED_AT_ONCE: usize = 4;

/// How many are claimed together at least, while others are under way: a claim costs as much for one.
const CLAIMED_TOGETHER: usize = 4;

/// Why Gladia still has what is to be deleted, and is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDeleted {
    /// It refused.
    Refused,
    /// It does not have it, and may only seem not to.
    NotFound,
    /// It could not be asked.
    Failed,
}

impl NotDeleted {
    words! {
        /// The name in metrics.
        as_str(self):
        Refused = "refused",
        NotFound = "not_found",
        Failed = "failed",
    }
}

/// Deletes at Gladia.
#[derive(Clone)]
pub struct Eraser {
    /// The database.
    pub pool: Pool,
    /// Gladia.
    pub gladia: GladiaClient,
    /// Tells of free slots.
    pub wakeups: Wakeups,
    /// Whether Gladia keeps nothing anyway. Then it is asked for nothing.
    pub zero_data_retention: bool,
    /// Whether the end of the retention concerns Gladia's copies, of jobs that do not say so themselves.
    pub retention_deletes: bool,
}

impl Eraser {
    /// Looks until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            // A call that is cut off is repeated later, as any other.
            let swept = tokio::select! {
                () = stop.cancelled() => return,
                swept = self.sweep() => swept,
            };
            let rest = match swept {
                Ok(()) => sweep_interval(),
                Err(error) => {
                    tracing::warn!(%error, "Could not look for deletions; trying again");
                    ERROR_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Carries out what is due.
    async fn sweep(&self) -> sqlx::Result<()> {
        if self.zero_data_retention {
            let mut conn = self.pool.acquire().await?;
            return in_long_time(upstream_deletions::take_back(&mut conn)).await;
        }
        // As tasks, so that each goes on while the next ones are claimed, for which it may hold the last connection.
        let mut under_way = JoinSet::new();
        let notes = Arc::new(Semaphore::new(NOTED_AT_ONCE));
        let mut claims_from = Instant::now();
        let error = loop {
            let free = AT_ONCE - under_way.len();
            if free >= CLAIMED_TOGETHER && Instant::now() >= claims_from {
                match self.claim(free).await {
                    Ok(due) => {
                        for due in due {
                            under_way.spawn(self.clone().carry_out(due, Arc::clone(&notes)));
                        }
                    }
                    Err(error) => break error,
                }
            }
            if under_way.is_empty() {
                return Ok(());
            }
            // However long one takes, what has become due meanwhile does not wait for it.
            match timeout(sweep_interval(), under_way.join_next()).await {
                Ok(Some(Ok(Ok(ControlFlow::Break(()))))) => {
                    claims_from = Instant::now() + ERROR_PAUSE;
                }
                Ok(Some(Ok(Err(error)))) => break error,
                Ok(_) | Err(_) => {}
            }
        };
        // The others are written down as far as they can be.
        while under_way.join_next().await.is_some() {}
        Err(error)
    }

    /// Claims so many of what is due: what callers have asked for and what Gladia has twice, and, where that is less, what the
    /// retention has erased. That may be millions at once, and nobody waits for it.
    async fn claim(&self, most: usize) -> sqlx::Result<Vec<DueDeletion>> {
        let mut conn = self.pool.acquire().await?;
        let mut due = in_time(upstream_deletions::claim_asked(&mut conn, most)).await?;
        let left = most - due.len();
        if left > 0 {
            let retained =
                upstream_deletions::claim_of_retention(&mut conn, self.retention_deletes, left);
            match in_time(retained).await {
                Ok(retained) => due.extend(retained),
                // What is claimed is carried out.
                Err(error) if !due.is_empty() => {
                    tracing::warn!(%error, "Could not look for deletions of the retention; trying again");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(due)
    }

    /// Asks Gladia for a deletion. Where Gladia does not take it, which it may not for others either, the next ones rest.
    async fn carry_out(
        self,
        due: DueDeletion,
        notes: Arc<Semaphore>,
    ) -> sqlx::Result<ControlFlow<()>> {
        let answer = self.gladia.delete(&due.gladia_id).await;
        let is_taken = !matches!(answer, Deletion::Failed(_));
        // It is never closed.
        let _turn = notes.acquire().await;
        in_time(self.note(&due, answer)).await?;
        Ok(if is_taken {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    }

    /// Writes down what Gladia answered.
    async fn note(&self, due: &DueDeletion, answer: Deletion) -> sqlx::Result<()> {
        let DueDeletion {
            gladia_id,
            job_id,
            reason,
            ..
        } = due;
        let mut conn = self.pool.acquire().await?;
        let (outcome, noted) = match answer {
            Deletion::Deleted => {
                let noted = upstream_deletions::note_deleted(&mut conn, gladia_id).await?;
                (DeletionOutcome::Deleted, noted)
            }
            Deletion::NotFound => {
                let next_try_in = next_after_absence(rand::random());
                let noted =
                    upstream_deletions::note_absence(&mut conn, gladia_id, next_try_in).await?;
                (DeletionOutcome::AlreadyGone, noted)
            }
            Deletion::Refused { status } => {
                if upstream_deletions::give_up_if_old(&mut conn, gladia_id).await? {
                    count(DeletionOutcome::GivenUp.as_str());
                    tracing::error!(
                        job.id = %job_id, gladia.id = gladia_id, reason, http.status = status,
                        "Gladia has refused for days to delete its copy of job {job_id}; given up. Delete it in Gladia's dashboard"
                    );
                } else {
                    count(NotDeleted::Refused.as_str());
                    tracing::debug!(job.id = %job_id, http.status = status, "Gladia does not delete job {job_id} yet");
                }
                return Ok(());
            }
            Deletion::Failed(error) => {
                count(NotDeleted::Failed.as_str());
                tracing::warn!(%error, job.id = %job_id, "Could not delete Gladia's copy of job {job_id}; trying again");
                return Ok(());
            }
        };
        drop(conn);
        let Noted::Finished { ends_attempt } = noted else {
            count(NotDeleted::NotFound.as_str());
            tracing::debug!(job.id = %job_id, "Gladia does not have job {job_id}, or not yet; asking again");
            return Ok(());
        };
        if ends_attempt {
            self.wakeups.jobs_changed();
        }
        count(outcome.as_str());
        tracing::info!(
            job.id = %job_id, gladia.id = gladia_id, reason, outcome = outcome.as_str(),
            "Gladia's copy of job {job_id}: {}", outcome.as_str()
        );
        Ok(())
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("gateway_upstream_deletions_total", "outcome" => outcome).increment(1);
}
