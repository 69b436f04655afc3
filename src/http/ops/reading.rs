//! What is found out for whoever asks, with or without a key: once for all who ask at the same moment, however many they are.

use std::{panic::resume_unwind, sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};
use tracing::Instrument;

/// What was found out last. Clones are the same.
#[derive(Debug, Clone)]
pub struct Reading<T> {
    last: Arc<Mutex<Option<Last<T>>>>,
    good_for: Duration,
}

#[derive(Debug)]
struct Last<T> {
    began_at: Instant,
    found: T,
}

impl<T: Clone + Send + 'static> Reading<T> {
    /// What began to be found out so long before somebody asked is good enough; what began later always is.
    #[must_use]
    pub fn good_for(good_for: Duration) -> Self {
        Self {
            last: Arc::default(),
            good_for,
        }
    }

    /// What was found out, or what `read` finds out, which one does at a time. In a task of its own: else whoever asks and hangs
    /// up, time and again, would leave behind a connection in the middle of its statement each time.
    pub async fn get<F>(&self, read: impl FnOnce() -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.get_as_of(Instant::now(), read).await
    }

    async fn get_as_of<F>(&self, asked_at: Instant, read: impl FnOnce() -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut last = Arc::clone(&self.last).lock_owned().await;
        if let Some(last) = &*last
            && last.began_at + self.good_for >= asked_at
        {
            return last.found.clone();
        }
        let (began_at, reading) = (Instant::now(), read());
        let reading = tokio::spawn(
            async move {
                let found = reading.await;
                *last = Some(Last {
                    began_at,
                    found: found.clone(),
                });
                found
            }
            .in_current_span(),
        );
        match reading.await {
            Ok(found) => found,
            Err(panicked) => resume_unwind(panicked.into_panic()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::{future::join_all, poll};
    use tokio::sync::Semaphore;

    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    /// What is found out: the how manieth time it is.
    struct Source {
        begun: AtomicU32,
        may_end: Arc<Semaphore>,
    }

    impl Source {
        fn new() -> Self {
            Self {
                begun: AtomicU32::new(0),
                may_end: Arc::new(Semaphore::new(0)),
            }
        }

        fn read(&self) -> impl Future<Output = u32> + Send + use<> {
            let nth = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let may_end = Arc::clone(&self.may_end);
            async move {
                let _held = may_end.acquire().await;
                nth
            }
        }

        fn let_end(&self) {
            self.may_end.add_permits(1);
        }
    }

    #[tokio::test]
    async fn all_who_ask_at_the_same_moment_share_one() {
        let (reading, source) = (Reading::good_for(LONG), Source::new());
        let asked = join_all((0..100).map(|_| reading.get(|| source.read())));
        let (found, ()) = tokio::join!(asked, async { source.let_end() });
        assert_eq!(found, [1; 100]);
    }

    #[tokio::test]
    async fn where_nothing_older_is_good_enough_all_who_came_meanwhile_share_the_next() {
        let (reading, source) = (Reading::good_for(Duration::ZERO), Source::new());
        let mut first = Box::pin(reading.get(|| source.read()));
        assert!(poll!(&mut first).is_pending());
        let mut later = Box::pin(join_all((0..100).map(|_| reading.get(|| source.read()))));
        assert!(poll!(&mut later).is_pending());
        source.let_end();
        let (first, later) = tokio::join!(first, later);
        assert_eq!((first, later), (1, vec![2; 100]));
    }

    #[tokio::test]
    async fn it_is_good_for_a_while() {
        let (reading, source) = (Reading::good_for(LONG), Source::new());
        source.let_end();
        assert_eq!(reading.get(|| source.read()).await, 1);
        assert_eq!(reading.get(|| source.read()).await, 1);
        let later = Instant::now() + LONG;
        assert_eq!(reading.get_as_of(later, || source.read()).await, 2);
    }

    #[tokio::test]
    async fn whoever_hangs_up_leaves_it_to_the_next() {
        let (reading, source) = (Reading::good_for(LONG), Source::new());
        for _ in 0..10 {
            let mut gone = Box::pin(reading.get(|| source.read()));
            assert!(poll!(&mut gone).is_pending());
        }
        source.let_end();
        assert_eq!(reading.get(|| source.read()).await, 1);
    }
}
