//! Group commit: what comes at the same time shares a commit.
//!
//! What comes alone is committed at once, by itself. What comes while a commit is under way waits for its end, and then goes in
//! one: under load a commit is shared by those who wait for one anyway, and without load nobody waits for anybody. Where that
//! takes long, as behind a commit that waits for somebody else's lock, those who wait lose their patience and begin another one
//! beside it, until nothing waits.
//!
//! Three things are committed this way, each by its [`Committer`]: callers' jobs (`src/http/transcriptions/group_commit.rs`),
//! Gladia's answers to creates (`src/workers/submit/group_commit.rs`) and its callbacks (`src/journal/intake/group_commit.rs`).

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

/// What commits a group.
pub trait Committer: Send + Sync + 'static {
    /// What is to be committed.
    type Item: Send + 'static;
    /// What came of it.
    type Outcome: Send + 'static;

    /// How many share a commit at most.
    const MOST_AT_ONCE: usize;

    /// Commits a group, within a bound: a connection that has gone silent must not hold up a lane. Says what
    /// came of each, in the same order.
    fn commit(&self, items: Vec<Self::Item>) -> impl Future<Output = Vec<Self::Outcome>> + Send;
}

/// Lets commits be shared. Clones are the same one.
pub struct GroupCommit<C: Committer>(Arc<Inner<C>>);

struct Inner<C: Committer> {
    committer: C,
    /// Lets a shutdown wait for what is under way.
    tasks: TaskTracker,
    patience: Duration,
    queue: Mutex<Queue<C>>,
}

/// What waits for a commit, and how many are under way.
struct Queue<C: Committer> {
    /// By their numbers.
    waiting: Vec<Waiting<C>>,
    next_number: u64,
    lanes: usize,
}

struct Waiting<C: Committer> {
    number: u64,
    item: C::Item,
    answer: oneshot::Sender<C::Outcome>,
}

/// Somebody's place in the queue. Dropped without an outcome, it takes along what waits there: whoever hangs up is not counted any
/// more, so nothing of theirs may stay for as long as the database takes.
struct Place<'a, C: Committer> {
    group_commit: &'a GroupCommit<C>,
    number: u64,
    outcome: oneshot::Receiver<C::Outcome>,
}

impl<C: Committer> Clone for GroupCommit<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Committer> GroupCommit<C> {
    /// Makes one.
    #[must_use]
    pub fn new(committer: C, tasks: TaskTracker) -> Self {
        Self::with_patience(committer, tasks, PATIENCE)
    }

    fn with_patience(committer: C, tasks: TaskTracker, patience: Duration) -> Self {
        let queue = Mutex::new(Queue {
            waiting: Vec::new(),
            next_number: 0,
            lanes: 0,
        });
        Self(Arc::new(Inner {
            committer,
            tasks,
            patience,
            queue,
        }))
    }

    /// Commits an item, and says what came of it. `None`: the committer panicked. The item may be committed.
    ///
    /// Whoever stops waiting takes it back, unless it is under way already.
    pub async fn commit(&self, item: C::Item) -> Option<C::Outcome> {
        let mut place = self.join_queue(item);
        // Whoever comes alone is not behind anybody.
        let is_under_way = self.open_lane(1);
        if !is_under_way {
            if let Ok(outcome) = timeout(self.0.patience, &mut place.outcome).await {
                return outcome.ok();
            }
            self.open_lane(MOST_LANES);
        }
        (&mut place.outcome).await.ok()
    }

    fn join_queue(&self, item: C::Item) -> Place<'_, C> {
        let (answer, outcome) = oneshot::channel();
        let mut queue = self.queue();
        let number = queue.next_number;
        queue.next_number += 1;
        queue.waiting.push(Waiting {
            number,
            item,
            answer,
        });
        Place {
            group_commit: self,
            number,
            outcome,
        }
    }

    /// Begins to commit what waits, unless as many do. Says whether it has.
    fn open_lane(&self, most: usize) -> bool {
        let mut queue = self.queue();
        if queue.waiting.is_empty() || queue.lanes >= most {
            return false;
        }
        queue.lanes += 1;
        // A task of its own: it does not end when its first caller hangs up, for the others wait for it too.
        self.0.tasks.spawn(self.clone().work());
        true
    }

    /// Commits what waits until nothing does.
    async fn work(self) {
        loop {
            let group = {
                let mut queue = self.queue();
                if queue.waiting.is_empty() {
                    queue.lanes -= 1;
                    return;
                }
                let rest = queue.waiting.len().min(C::MOST_AT_ONCE);
                let rest = queue.waiting.split_off(rest);
                mem::replace(&mut queue.waiting, rest)
            };
            // Whoever waits for what panics is answered by the end of its channel.
            let _ = AssertUnwindSafe(self.commit_group(group))
                .catch_unwind()
                .await;
        }
    }

    async fn commit_group(&self, group: Vec<Waiting<C>>) {
        let (items, answers): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|waiting| (waiting.item, waiting.answer))
            .unzip();
        let outcomes = self.0.committer.commit(items).await;
        for (outcome, answer) in outcomes.into_iter().zip(answers) {
            // Whoever has stopped waiting has no use for it.
            let _ = answer.send(outcome);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<C>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Committer> Queue<C> {
    /// `None`: it does not wait any more.
    fn take_back(&mut self, number: u64) -> Option<Waiting<C>> {
        let found = self
            .waiting
            .binary_search_by_key(&number, |waiting| waiting.number);
        Some(self.waiting.remove(found.ok()?))
    }
}

impl<C: Committer> Drop for Place<'_, C> {
    fn drop(&mut self) {
        if self.outcome.is_terminated() {
            return;
        }
        let taken_back = self.group_commit.queue().take_back(self.number);
        // It may be large, and nobody waits for the queue meanwhile.
        drop(taken_back);
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::Semaphore, task::JoinSet};

    use super::*;

    /// Nothing here takes longer unless it is broken.
    const BOUND: Duration = Duration::from_secs(30);

    /// Commits numbers, a group for each permit.
    struct Numbers {
        begun: Arc<Semaphore>,
        permits: Arc<Semaphore>,
        committed: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    impl Committer for Numbers {
        type Item = u32;
        type Outcome = u32;

        const MOST_AT_ONCE: usize = 2;

        async fn commit(&self, items: Vec<u32>) -> Vec<u32> {
            self.begun.add_permits(1);
            self.permits.acquire().await.unwrap().forget();
            assert!(!items.contains(&0), "one that nobody has thought of");
            self.committed.lock().unwrap().push(items.clone());
            items
        }
    }

    struct Test {
        group_commit: GroupCommit<Numbers>,
        begun: Arc<Semaphore>,
        permits: Arc<Semaphore>,
        committed: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    impl Test {
        /// Whoever waits has the patience of the tests, so that a slow machine changes nothing.
        fn new() -> Self {
            Self::with_patience(BOUND)
        }

        fn with_patience(patience: Duration) -> Self {
            let (begun, permits) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
            let committed = Arc::default();
            let numbers = Numbers {
                begun: Arc::clone(&begun),
                permits: Arc::clone(&permits),
                committed: Arc::clone(&committed),
            };
            Self {
                group_commit: GroupCommit::with_patience(numbers, TaskTracker::new(), patience),
                begun,
                permits,
                committed,
            }
        }

        /// Asks for a number's commit, in a task that ends when it is dropped.
        fn commit(&self, number: u32) -> JoinSet<Option<u32>> {
            let group_commit = self.group_commit.clone();
            let mut task = JoinSet::new();
            task.spawn(async move { group_commit.commit(number).await });
            task
        }

        /// Waits until another commit is under way.
        async fn begun(&self) {
            let begun = timeout(BOUND, self.begun.acquire()).await;
            begun.unwrap().unwrap().forget();
        }

        /// Waits until so many wait.
        async fn waiting(&self, count: usize) {
            let waiting = async {
                while self.group_commit.queue().waiting.len() != count {
                    tokio::task::yield_now().await;
                }
            };
            timeout(BOUND, waiting).await.unwrap();
        }

        fn committed(&self) -> Vec<Vec<u32>> {
            self.committed.lock().unwrap().clone()
        }
    }

    async fn outcome(mut task: JoinSet<Option<u32>>) -> Option<u32> {
        let outcome = timeout(BOUND, task.join_next()).await;
        outcome.unwrap().unwrap().unwrap()
    }

    #[tokio::test]
    async fn what_comes_while_one_is_committed_goes_together_after_it() {
        let test = Test::new();
        let first = test.commit(1);
        test.begun().await;
        let others = [2, 3, 4].map(|number| test.commit(number));
        test.waiting(3).await;
        test.permits.add_permits(3);
        assert_eq!(outcome(first).await, Some(1));
        for (other, number) in others.into_iter().zip(2..) {
            assert_eq!(outcome(other).await, Some(number));
        }
        assert_eq!(test.committed(), [vec![1], vec![2, 3], vec![4]]);
        // Nothing is under way, so the next one goes by itself.
        test.permits.add_permits(1);
        assert_eq!(outcome(test.commit(5)).await, Some(5));
    }

    #[tokio::test]
    async fn what_is_under_way_is_completed_though_its_caller_has_hung_up() {
        let test = Test::new();
        let gone = test.commit(1);
        test.begun().await;
        drop(gone);
        let next = test.commit(2);
        test.waiting(1).await;
        test.permits.add_permits(2);
        assert_eq!(outcome(next).await, Some(2));
        assert_eq!(test.committed(), [[1], [2]]);
    }

    #[tokio::test]
    async fn whoever_hangs_up_takes_back_at_once_what_waits_and_nothing_of_the_others() {
        let test = Test::new();
        let first = test.commit(1);
        test.begun().await;
        let [before, gone, after] = [2, 3, 4].map(|number| test.commit(number));
        test.waiting(3).await;
        drop(gone);
        // Nothing has come of the first one yet.
        test.waiting(2).await;
        test.permits.add_permits(2);
        for (task, number) in [(first, 1), (before, 2), (after, 4)] {
            assert_eq!(outcome(task).await, Some(number));
        }
        assert_eq!(test.committed(), [vec![1], vec![2, 4]]);
    }

    #[tokio::test]
    async fn behind_one_that_takes_long_another_commit_is_begun() {
        let test = Test::with_patience(Duration::ZERO);
        let held = test.commit(1);
        test.begun().await;
        let next = test.commit(2);
        test.begun().await;
        test.permits.add_permits(2);
        assert_eq!(outcome(held).await, Some(1));
        assert_eq!(outcome(next).await, Some(2));
    }

    #[tokio::test]
    async fn a_commit_that_panics_holds_up_nobody() {
        let test = Test::new();
        test.permits.add_permits(3);
        assert_eq!(outcome(test.commit(0)).await, None);
        assert_eq!(outcome(test.commit(1)).await, Some(1));
    }
}
