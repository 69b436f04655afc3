//! Recording what almost every create is answered: those that are answered at the same time by
//! [group commit](crate::db::group_commit).

use std::{collections::HashSet, time::Duration};

use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::{
    db::{
        attempts::{Answer, record_answers},
        claims::{ClaimedJob, MAX_CLAIMED},
        group_commit::{Committer, GroupCommit},
        pool::Pool,
    },
    domain::ids::AttemptId,
};

/// How long a statement may take. It waits for no lock of a row.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);

/// Records answers.
pub struct AnswerGroupCommit(GroupCommit<AnswerCommitter>);

/// What commits them.
struct AnswerCommitter {
    pool: Pool,
}

impl AnswerGroupCommit {
    /// Makes one.
    #[must_use]
    pub fn new(pool: Pool, tasks: TaskTracker) -> Self {
        Self(GroupCommit::new(AnswerCommitter { pool }, tasks))
    }

    /// Records that Gladia has a job. False: there is more to it, or the database was away, and it goes the long way, which
    /// finds out whether it was recorded all the same.
    pub async fn record(&self, job: &ClaimedJob, gladia_id: &str) -> bool {
        let answer = Answer {
            attempt_id: job.attempt_id,
            gladia_id: gladia_id.to_owned(),
            expected_within: job.expected_within,
        };
        self.0.commit(answer).await.unwrap_or_default()
    }
}

impl Committer for AnswerCommitter {
    type Item = Answer;
    /// Whether it was recorded.
    type Outcome = bool;

    const MOST_AT_ONCE: usize = MAX_CLAIMED;

    async fn commit(&self, answers: Vec<Answer>) -> Vec<bool> {
        let recorded = self.record_all(&answers).await.unwrap_or_else(|error| {
            tracing::warn!(%error, count = answers.len(), "Could not record answers at once; each is recorded by itself");
            HashSet::new()
        });
        let outcomes = answers
            .iter()
            .map(|answer| recorded.contains(&answer.attempt_id));
        outcomes.collect()
    }
}

impl AnswerCommitter {
    async fn record_all(&self, answers: &[Answer]) -> sqlx::Result<HashSet<AttemptId>> {
        let mut conn = self.pool.acquire().await?;
        let recorded = timeout(COMMIT_TIMEOUT, record_answers(&mut conn, answers)).await;
        conn.settle(recorded)
    }
}
