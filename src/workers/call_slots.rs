//! How many calls of a worker are under way at once: results are large, and each is compressed in memory.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bounded number of slots; each is held by a call for as long as it lasts.
pub(super) struct CallSlots(Arc<Semaphore>);

impl CallSlots {
    /// So many.
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Takes those that are free.
    pub(super) fn take_free(&self) -> Vec<OwnedSemaphorePermit> {
        std::iter::from_fn(|| Arc::clone(&self.0).try_acquire_owned().ok()).collect()
    }

    /// Waits for a while, and then until one is free: all of them may be busy for long.
    pub(super) async fn rest(&self, rest: Duration) {
        tokio::time::sleep(rest).await;
        drop(self.0.acquire().await);
    }
}
