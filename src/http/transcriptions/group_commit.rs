//! Accepts jobs, those that come at the same time by [group commit](crate::db::group_commit).

use std::{collections::HashMap, io, time::Duration};

use chrono::{DateTime, Utc};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::{
    db::{
        self,
        group_commit::{Committer, GroupCommit},
        jobs::{OrdinaryJob, accept_in_one_statement},
        pool::Pool,
        wakeups::Wakeups,
    },
    domain::ids::JobId,
};

/// How long a statement may take. Locks are waited for no longer than ten seconds.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);

/// When a job was accepted, or `None` where it was not.
type Outcome = sqlx::Result<Option<DateTime<Utc>>>;

/// Accepts jobs. Clones are the same one.
#[derive(Clone)]
pub struct JobGroupCommit(GroupCommit<JobCommitter>);

/// What commits them.
struct JobCommitter {
    pool: Pool,
    wakeups: Wakeups,
    usage_keys: Vec<String>,
}

impl JobGroupCommit {
    /// Makes one. The metadata under `usage_keys` outlives its job's content.
    #[must_use]
    pub fn new(pool: Pool, tasks: TaskTracker, wakeups: Wakeups, usage_keys: Vec<String>) -> Self {
        let committer = JobCommitter {
            pool,
            wakeups,
            usage_keys,
        };
        Self(GroupCommit::new(committer, tasks))
    }

    /// Accepts a job, durably, and says when. `None`: there is more to it, and nothing has happened. Whoever hangs up may ask
    /// again, so what has not begun by then is not accepted.
    ///
    /// # Errors
    /// Where the database is away. The job may have been accepted all the same.
    pub async fn accept(&self, job: OrdinaryJob) -> Outcome {
        let outcome = self.0.commit(job).await;
        outcome.unwrap_or_else(|| {
            Err(away(
                "the commit that was shared with others ended without a word",
            ))
        })
    }
}

impl Committer for JobCommitter {
    type Item = OrdinaryJob;
    type Outcome = Outcome;

    const MOST_AT_ONCE: usize = 64;

    async fn commit(&self, jobs: Vec<OrdinaryJob>) -> Vec<Outcome> {
        let accepted = self.accept_all(&jobs).await;
        if let Err(error) = &accepted {
            tracing::warn!(%error, count = jobs.len(), "Could not accept jobs at once");
        }
        let outcomes = jobs.iter().map(|job| match &accepted {
            Ok(accepted) => Ok(accepted.get(&job.id).copied()),
            // Postgres has refused, and nothing is accepted. Which of them it was, and why, is found out one by one.
            Err(error @ sqlx::Error::Database(_)) if !db::is_unavailable(error) => Ok(None),
            Err(error) => Err(away(&error.to_string())),
        });
        outcomes.collect()
    }
}

impl JobCommitter {
    async fn accept_all(
        &self,
        jobs: &[OrdinaryJob],
    ) -> sqlx::Result<HashMap<JobId, DateTime<Utc>>> {
        let mut conn = self.pool.acquire().await?;
        let accepted = timeout(
            COMMIT_TIMEOUT,
            accept_in_one_statement(&mut conn, jobs, &self.usage_keys),
        );
        let accepted = accepted.await;
        let accepted = conn.settle(accepted)?;
        if !accepted.is_empty() {
            // Here, since their callers may have hung up.
            self.wakeups.jobs_queued();
            let count = u64::try_from(accepted.len()).unwrap_or_default();
            metrics::counter!("gateway_transcriptions_accepted_total").increment(count);
        }
        Ok(accepted)
    }
}

/// The same for all who waited: an error is one's own, its text is everybody's, for the log line of each request.
fn away(cause: &str) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::ConnectionAborted, cause))
}
