//! Commits jobs that come at the same time together.
//!
//! A job that comes alone is committed at once, by itself. While as many statements as there are [`LANES`] are under way, what
//! comes waits for the first of them to end, and then goes in one statement: under load a commit is shared by those who wait
//! for one anyway, and without load nobody waits for anybody.

use std::{
    collections::HashMap,
    io, mem,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tokio::{sync::oneshot, time::timeout};
use tokio_util::task::TaskTracker;

use crate::{
    db::{
        self,
        jobs::{JobAtOnce, accept_at_once},
        pool::Pool,
        wakeups::Wakeups,
    },
    domain::ids::JobId,
};

/// How many statements are under way at once.
const LANES: usize = 2;

/// How long a statement may take. Locks are waited for no longer than ten seconds.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);

/// How many jobs go in one at most.
const MOST_TOGETHER: usize = 64;

/// When a job was accepted, or `None` where it was not.
type Outcome = sqlx::Result<Option<DateTime<Utc>>>;

/// Commits jobs. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Acceptor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    /// Lets a shutdown wait for what is under way.
    tasks: TaskTracker,
    wakeups: Wakeups,
    usage_keys: Vec<String>,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    waiting: Vec<Waiting>,
    lanes: usize,
}

#[derive(Debug)]
struct Waiting {
    job: JobAtOnce,
    answer: oneshot::Sender<Outcome>,
}

impl Acceptor {
    /// Makes one. The metadata under `usage_keys` outlives its job's content.
    #[must_use]
    pub fn new(pool: Pool, tasks: TaskTracker, wakeups: Wakeups, usage_keys: Vec<String>) -> Self {
        Self(Arc::new(Inner {
            pool,
            tasks,
            wakeups,
            usage_keys,
            line: Mutex::default(),
        }))
    }

    /// Accepts a job, durably, and says when. `None`: there is more to it, and nothing has happened.
    ///
    /// # Errors
    /// Where the database is away. The job may have been accepted all the same.
    pub async fn accept(&self, job: JobAtOnce) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        let opens_lane = {
            let mut line = self.line();
            line.waiting.push(Waiting { job, answer });
            let opens_lane = line.lanes < LANES;
            line.lanes += usize::from(opens_lane);
            opens_lane
        };
        if opens_lane {
            // A task of its own: it does not end when its first caller hangs up, for the others wait for it too.
            self.0.tasks.spawn(self.clone().work());
        }
        outcome.await.unwrap_or_else(|_| Err(away()))
    }

    /// Commits what waits until nothing does.
    async fn work(self) {
        loop {
            let together = {
                let mut line = self.line();
                if line.waiting.is_empty() {
                    line.lanes -= 1;
                    return;
                }
                let rest = line.waiting.len().min(MOST_TOGETHER);
                let rest = line.waiting.split_off(rest);
                mem::replace(&mut line.waiting, rest)
            };
            // Whoever waits for what panics is answered by the end of its channel.
            let _ = AssertUnwindSafe(self.commit(together)).catch_unwind().await;
        }
    }

    async fn commit(&self, mut together: Vec<Waiting>) {
        // Whoever has hung up may have asked again already.
        together.retain(|waiting| !waiting.answer.is_closed());
        if together.is_empty() {
            return;
        }
        let (jobs, answers): (Vec<_>, Vec<_>) = together
            .into_iter()
            .map(|waiting| (waiting.job, waiting.answer))
            .unzip();
        let accepted = self.accept_all(&jobs).await;
        if let Err(error) = &accepted {
            tracing::warn!(%error, count = jobs.len(), "Could not accept jobs at once");
        }
        for (job, answer) in jobs.iter().zip(answers) {
            let outcome = match &accepted {
                Ok(accepted) => Ok(accepted.get(&job.id).copied()),
                // Postgres has refused, and nothing is accepted. Which of them it was, and why, is found out one by one.
                Err(error @ sqlx::Error::Database(_)) if !db::is_unavailable(error) => Ok(None),
                Err(_) => Err(away()),
            };
            // Whoever has hung up will ask again.
            let _ = answer.send(outcome);
        }
    }

    /// Within a bound: a connection that has gone silent must not hold up a lane.
    async fn accept_all(&self, jobs: &[JobAtOnce]) -> sqlx::Result<HashMap<JobId, DateTime<Utc>>> {
        let mut conn = self.0.pool.acquire().await?;
        let accepted = timeout(
            COMMIT_TIMEOUT,
            accept_at_once(&mut conn, jobs, &self.0.usage_keys),
        );
        let Ok(accepted) = accepted.await else {
            // It was given up in the middle of whatever it was doing.
            conn.close_on_drop();
            return Err(away());
        };
        let accepted = accepted?;
        conn.put_back();
        if !accepted.is_empty() {
            // Here, since their callers may have hung up.
            self.0.wakeups.jobs_queued();
            let count = u64::try_from(accepted.len()).unwrap_or_default();
            metrics::counter!("gateway_transcriptions_accepted_total").increment(count);
        }
        Ok(accepted)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same for all who waited; the cause is in the log.
fn away() -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::ConnectionAborted.into())
}
