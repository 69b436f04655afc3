//! Whether the database has been brought up, and those who come before that.
//!
//! The addresses are served from the first moment, since a migration may take long. Most starts take none, so whoever comes within
//! the blink that those take waits for it, and is answered as if it had come a little later.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

/// How far a start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not known yet: the database is still being brought up.
    Begun,
    /// It is away.
    Away,
    /// It is up.
    Up,
}

/// The start of a process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Start(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// What everybody asks, for whom a lock would be too much.
    is_up: AtomicBool,
    phase: watch::Sender<Phase>,
}

impl Default for Start {
    fn default() -> Self {
        Self(Arc::new(Shared {
            is_up: AtomicBool::default(),
            phase: watch::Sender::new(Phase::Begun),
        }))
    }
}

impl Start {
    /// Whether the database is as this version needs it.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.is_up.load(Ordering::Acquire)
    }

    /// Whether it is known how the database is. Before that the process may still turn out to be of no use.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        *self.0.phase.borrow() != Phase::Begun
    }

    /// It is up.
    pub fn up(&self) {
        self.0.is_up.store(true, Ordering::Release);
        self.0.phase.send_replace(Phase::Up);
    }

    /// It is away, and what can be done without it begins.
    pub fn away(&self) {
        self.0.phase.send_replace(Phase::Away);
    }

    /// Waits until it is known how the database is, for so long at most. Whether it is up.
    pub async fn wait(&self, at_most: Duration) -> bool {
        let mut phase = self.0.phase.subscribe();
        let decided = phase.wait_for(|phase| *phase != Phase::Begun);
        // At the end of the time it is not up.
        let _ = timeout(at_most, decided).await;
        self.is_up()
    }
}
