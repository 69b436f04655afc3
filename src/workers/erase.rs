//! Deleting Gladia's copies of what was erased here, and of what Gladia has twice.
//!
//! Gladia refuses while it is at work on a job, so a deletion may take hours; it is tried at growing intervals, by
//! whichever replica claims it. The claim is committed before the call.

use tokio_util::sync::CancellationToken;

use super::{ERROR_PAUSE, sweep_interval};
use crate::{
    db::{
        pool::{Pool, in_long_time, in_time},
        upstream_deletions::{self, DeletionOutcome, DueDeletion},
    },
    gladia::{client::GladiaClient, delete::Deletion},
};

/// How many are under way at once in a process.
const AT_ONCE: i64 = 4;

/// Deletes at Gladia.
#[derive(Clone)]
pub struct Eraser {
    /// The database.
    pub pool: Pool,
    /// Gladia.
    pub gladia: GladiaClient,
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
            in_long_time(upstream_deletions::take_back(&mut conn)).await?;
            return Ok(());
        }
        loop {
            let mut conn = self.pool.acquire().await?;
            let due = in_time(upstream_deletions::claim(
                &mut conn,
                self.retention_deletes,
                AT_ONCE,
            ))
            .await?;
            drop(conn);
            if due.is_empty() {
                return Ok(());
            }
            let carried_out = due.iter().map(async |deletion| {
                let answer = self.gladia.delete(&deletion.gladia_id).await;
                in_time(self.note(deletion, answer)).await
            });
            for result in futures_util::future::join_all(carried_out).await {
                result?;
            }
        }
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
        let outcome = match answer {
            Deletion::Deleted => DeletionOutcome::Deleted,
            Deletion::AlreadyGone => DeletionOutcome::AlreadyGone,
            Deletion::Refused { status } => {
                if upstream_deletions::give_up_if_old(&mut conn, gladia_id).await? {
                    count("given_up");
                    tracing::error!(
                        job.id = %job_id, gladia.id = gladia_id, reason, http.status = status,
                        "Gladia has refused for days to delete its copy of job {job_id}; given up. Delete it in Gladia's dashboard"
                    );
                } else {
                    count("refused");
                    tracing::debug!(job.id = %job_id, http.status = status, "Gladia does not delete job {job_id} yet");
                }
                return Ok(());
            }
            Deletion::Failed(error) => {
                count("failed");
                tracing::warn!(%error, job.id = %job_id, "Could not delete Gladia's copy of job {job_id}; trying again");
                return Ok(());
            }
        };
        upstream_deletions::finish(&mut conn, gladia_id, outcome).await?;
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
