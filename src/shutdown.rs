//! How the process ends: signals become tokens, and a tracker knows what still runs.
//!
//! The first SIGTERM or Ctrl-C cancels the _leaving_ token: `/readyz` says no from then on, so that load balancers send their
//! requests elsewhere, each answer closes its connection, so that nobody has one left when they end, and everything goes on
//! meanwhile. After the delay for that, which is none unless it is set, the _soft_
//! token: nothing new is accepted or claimed, and what runs may finish.
//! A second signal, or the end of the time for that, cancels the _hard_ token: whatever still runs records what it must
//! (an attempt that may have been sent, for one) and stops. A third signal ends the process where it stands.

use std::{io, time::Duration};

use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

/// What tasks get after the hard token to record their last state: a few statements, while a caller waits for the exit.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// The exit code of a process that a signal ended at once: 128 and the number of SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// The tokens and the tasks that heed them. Clones are the same shutdown.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Say that it is about to end. Canceled with the soft token at the latest.
    pub leaving: CancellationToken,
    /// Accept and begin nothing new.
    pub soft: CancellationToken,
    /// Stop.
    pub hard: CancellationToken,
    /// What the end of the process waits for.
    pub tracker: TaskTracker,
}

impl Shutdown {
    /// A shutdown that SIGTERM and SIGINT begin, and that ends nothing until a delay is over.
    ///
    /// # Errors
    /// Where the signals cannot be listened to.
    pub fn on_signals(delay: Duration) -> io::Result<Self> {
        let mut signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        let (seen, mut names) = unbounded_channel();
        let shutdown = Self::manual();
        let followed = shutdown.clone();
        // Neither is tracked: they wait for as long as the process lives.
        tokio::spawn(async move { while seen.send(signals.next().await).is_ok() {} });
        tokio::spawn(async move {
            followed.follow(&mut names, delay).await;
            names.recv().await;
            std::process::exit(EXIT_INTERRUPTED);
        });
        Ok(shutdown)
    }

    /// A shutdown that only the program begins.
    #[must_use]
    pub fn manual() -> Self {
        let soft = CancellationToken::new();
        Self {
            leaving: soft.child_token(),
            soft,
            hard: CancellationToken::new(),
            tracker: TaskTracker::new(),
        }
    }

    /// Does what the first signal asks for, and the second one.
    async fn follow(&self, signals: &mut UnboundedReceiver<&'static str>, delay: Duration) {
        let Some(name) = signals.recv().await else {
            return;
        };
        self.leaving.cancel();
        let mut second = None;
        if !delay.is_zero() {
            info!(
                "Received {name}: not ready any more, and goes on for {} s, until nobody sends anything here",
                delay.as_secs()
            );
            second = timeout(delay, signals.recv()).await.ok();
        }
        if second.is_none() {
            info!("Received {name}: finishing what is under way; a second signal stops at once");
        }
        self.soft.cancel();
        let second = match second {
            Some(name) => name,
            None => signals.recv().await,
        };
        if let Some(name) = second {
            warn!("Received {name} again: stopping at once");
            self.hard.cancel();
        }
    }

    /// Waits for the tracked tasks, no longer than `bound` and not beyond the hard token. Then cancels that token, and
    /// gives what still runs a last moment. Returns whether every task has ended.
    pub async fn drain(&self, bound: Duration) -> bool {
        self.tracker.close();
        let ended = select! {
            biased;
            () = self.tracker.wait() => true,
            () = self.hard.cancelled() => false,
            () = sleep(bound) => false,
        };
        self.hard.cancel();
        ended || timeout(LAST_MOMENT, self.tracker.wait()).await.is_ok()
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Instant};

    use super::*;

    #[tokio::test]
    async fn nothing_ends_until_the_delay_is_over() {
        let shutdown = Shutdown::manual();
        let (signal, mut signals) = unbounded_channel();
        let followed = shutdown.clone();
        tokio::spawn(async move {
            let delay = Duration::from_millis(100);
            followed.follow(&mut signals, delay).await;
        });
        let began = Instant::now();
        signal.send("SIGTERM").unwrap();
        shutdown.leaving.cancelled().await;
        shutdown.soft.cancelled().await;
        assert!(began.elapsed() >= Duration::from_millis(100));
        assert!(!shutdown.hard.is_cancelled());
        signal.send("SIGTERM").unwrap();
        shutdown.hard.cancelled().await;
    }

    #[tokio::test]
    async fn a_second_signal_waits_for_no_delay() {
        let shutdown = Shutdown::manual();
        let (signal, mut signals) = unbounded_channel();
        signal.send("SIGINT").unwrap();
        signal.send("SIGINT").unwrap();
        shutdown.follow(&mut signals, Duration::from_hours(1)).await;
        assert!(shutdown.soft.is_cancelled() && shutdown.hard.is_cancelled());
    }

    #[tokio::test]
    async fn draining_ends_with_the_last_task() {
        let shutdown = Shutdown::manual();
        let soft = shutdown.soft.clone();
        shutdown
            .tracker
            .spawn(async move { soft.cancelled().await });
        shutdown.soft.cancel();
        assert!(shutdown.drain(Duration::from_mins(1)).await);
        assert!(shutdown.hard.is_cancelled());
    }

    #[tokio::test]
    async fn a_task_that_outlasts_the_bound_records_its_state_at_the_hard_token() {
        let shutdown = Shutdown::manual();
        let hard = shutdown.hard.clone();
        let task = shutdown.tracker.spawn(async move {
            hard.cancelled().await;
            sleep(Duration::from_millis(20)).await;
            "recorded"
        });
        assert!(shutdown.drain(Duration::from_millis(20)).await);
        assert_eq!(task.await.unwrap(), "recorded");
    }

    #[tokio::test]
    async fn the_hard_token_ends_the_wait() {
        let shutdown = Shutdown::manual();
        let hard = shutdown.hard.clone();
        shutdown
            .tracker
            .spawn(async move { hard.cancelled().await });
        let (started, other) = (Instant::now(), shutdown.clone());
        tokio::spawn(async move {
            sleep(Duration::from_millis(20)).await;
            other.hard.cancel();
        });
        assert!(shutdown.drain(Duration::from_mins(1)).await);
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_task_that_heeds_nothing_does_not_hold_the_process() {
        let shutdown = Shutdown::manual();
        shutdown.tracker.spawn(pending::<()>());
        let started = Instant::now();
        assert!(!shutdown.drain(Duration::ZERO).await);
        assert!(started.elapsed() < LAST_MOMENT * 5);
    }
}
