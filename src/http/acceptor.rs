//! Commits jobs that come at the same time together.
//!
//! A job that comes alone is committed at once, by itself. While as many statements as there are [`LANES`] are under way, what
//! comes waits for the first of them to end, and then goes in one statement: under load a commit is shared by those who wait
//! for one anyway, and without load nobody waits for anybody.

use std::{
    io, mem,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use sqlx::PgPool;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::db::{
    self,
    jobs::{JobAtOnce, accept_at_once},
};

/// How many statements are under way at once.
const LANES: usize = 2;

/// How many jobs go in one at most.
const MOST_TOGETHER: usize = 64;

/// When a job was accepted, or `None` where it was not.
type Outcome = sqlx::Result<Option<DateTime<Utc>>>;

/// Commits jobs. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Acceptor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    /// Lets a shutdown wait for what is under way.
    tasks: TaskTracker,
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
    pub fn new(pool: PgPool, tasks: TaskTracker, usage_keys: Vec<String>) -> Self {
        Self(Arc::new(Inner {
            pool,
            tasks,
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

    async fn commit(&self, together: Vec<Waiting>) {
        let (jobs, answers): (Vec<_>, Vec<_>) = together
            .into_iter()
            .map(|waiting| (waiting.job, waiting.answer))
            .unzip();
        let accepted = async {
            let mut conn = self.0.pool.acquire().await?;
            accept_at_once(&mut conn, &jobs, &self.0.usage_keys).await
        };
        let accepted = accepted.await;
        if let Err(error) = &accepted {
            tracing::warn!(%error, count = jobs.len(), "Could not accept jobs at once");
        }
        for (job, answer) in jobs.iter().zip(answers) {
            let outcome = match &accepted {
                Ok(accepted) => Ok(accepted.get(&job.id).copied()),
                Err(error) if db::is_unavailable(error) => Err(away()),
                // Which of them it was, and why, is found out one by one.
                Err(_) => Ok(None),
            };
            // Whoever has hung up will ask again.
            let _ = answer.send(outcome);
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same for all who waited; the cause is in the log.
fn away() -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::ConnectionAborted.into())
}
