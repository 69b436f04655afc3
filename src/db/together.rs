//! Commits what comes at the same time together.
//!
//! What comes alone is committed at once, by itself. What comes while a commit is under way waits for its end, and then goes in
//! one: under load a commit is shared by those who wait for one anyway, and without load nobody waits for anybody. Where that
//! takes long, as behind a commit that waits for somebody else's lock, those who wait lose their patience and begin another one
//! beside it, until nothing waits.

use std::{
    mem,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{sync::oneshot, time::timeout};
use tokio_util::task::TaskTracker;

/// How long somebody waits before another commit is begun: longer than two take that wait for nothing but their disk.
const PATIENCE: Duration = Duration::from_millis(50);

/// How many commits are under way at once at most.
const MOST_LANES: usize = 4;

/// What commits.
pub trait Commit: Send + Sync + 'static {
    /// What is to be committed.
    type Item: Send + 'static;
    /// What came of it.
    type Outcome: Send + 'static;

    /// How many share a commit at most.
    const MOST_TOGETHER: usize;

    /// Commits what has come together, within a bound: a connection that has gone silent must not hold up a lane. Says what
    /// came of each, in the same order.
    fn commit(&self, items: Vec<Self::Item>) -> impl Future<Output = Vec<Self::Outcome>> + Send;
}

/// Lets commits be shared. Clones are the same one.
pub struct Together<C: Commit>(Arc<Inner<C>>);

struct Inner<C: Commit> {
    commit: C,
    /// Lets a shutdown wait for what is under way.
    tasks: TaskTracker,
    line: Mutex<Line<C>>,
}

struct Line<C: Commit> {
    waiting: Vec<Waiting<C>>,
    lanes: usize,
}

struct Waiting<C: Commit> {
    item: C::Item,
    answer: oneshot::Sender<C::Outcome>,
}

impl<C: Commit> Clone for Together<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Commit> Together<C> {
    /// Makes one.
    #[must_use]
    pub fn new(commit: C, tasks: TaskTracker) -> Self {
        let line = Mutex::new(Line {
            waiting: Vec::new(),
            lanes: 0,
        });
        Self(Arc::new(Inner {
            commit,
            tasks,
            line,
        }))
    }

    /// Commits an item, and says what came of it. `None`: committing failed in a way that nobody has thought of, and it may
    /// have been committed all the same.
    ///
    /// Whoever stops waiting takes it back, unless it is under way already.
    pub async fn commit(&self, item: C::Item) -> Option<C::Outcome> {
        let (answer, mut outcome) = oneshot::channel();
        self.line().waiting.push(Waiting { item, answer });
        self.open_lane(1);
        if let Ok(outcome) = timeout(PATIENCE, &mut outcome).await {
            return outcome.ok();
        }
        self.open_lane(MOST_LANES);
        outcome.await.ok()
    }

    /// Begins to commit what waits, unless as many do.
    fn open_lane(&self, most: usize) {
        let mut line = self.line();
        if line.waiting.is_empty() || line.lanes >= most {
            return;
        }
        line.lanes += 1;
        // A task of its own: it does not end when its first caller hangs up, for the others wait for it too.
        self.0.tasks.spawn(self.clone().work());
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
                let rest = line.waiting.len().min(C::MOST_TOGETHER);
                let rest = line.waiting.split_off(rest);
                mem::replace(&mut line.waiting, rest)
            };
            // Whoever waits for what panics is answered by the end of its channel.
            let _ = AssertUnwindSafe(self.commit_all(together))
                .catch_unwind()
                .await;
        }
    }

    async fn commit_all(&self, mut together: Vec<Waiting<C>>) {
        together.retain(|waiting| !waiting.answer.is_closed());
        if together.is_empty() {
            return;
        }
        let (items, answers): (Vec<_>, Vec<_>) = together
            .into_iter()
            .map(|waiting| (waiting.item, waiting.answer))
            .unzip();
        let outcomes = self.0.commit.commit(items).await;
        for (outcome, answer) in outcomes.into_iter().zip(answers) {
            // Whoever has stopped waiting has no use for it.
            let _ = answer.send(outcome);
        }
    }

    fn line(&self) -> MutexGuard<'_, Line<C>> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
