//! The end: what is under way may finish, and what could not is told.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::ensure;

use super::Gateway;
use crate::journal::spool;

impl Gateway {
    /// Waits for the end, and lets what is under way finish.
    ///
    /// # Errors
    /// Where a part of the service crashed.
    pub async fn run(self) -> anyhow::Result<()> {
        self.shutdown.soft.cancelled().await;
        let begin = Instant::now();
        let has_ended = self.shutdown.drain(self.drain_timeout).await;
        let cut_off = self.cut_off.load(Ordering::SeqCst);
        if cut_off > 0 {
            tell_of_cut_off(cut_off, begin.elapsed() >= self.drain_timeout);
        }
        if !has_ended {
            tracing::warn!(
                "Stopped before everything under way had ended; other replicas settle it from the rows"
            );
        } else if cut_off > 0 {
            tracing::info!("Stopped; everything else under way has ended");
        } else {
            tracing::info!("Stopped; everything under way has ended");
        }
        self.tell_of_kept().await;
        ensure!(
            !self.failed.load(Ordering::SeqCst),
            "a part of the gateway crashed; its log line says which"
        );
        Ok(())
    }

    /// Ends at once what listens where the start has failed.
    pub(super) async fn give_up(&self) {
        self.shutdown.soft.cancel();
        self.shutdown.drain(Duration::ZERO).await;
        self.tell_of_kept().await;
    }

    /// Says what is left on this disk alone.
    async fn tell_of_kept(&self) {
        let Some(directory) = &self.spool_dir else {
            return;
        };
        match spool::count_in(directory).await {
            Ok(0) => {}
            Ok(callbacks) => tracing::error!(
                callbacks,
                "Callbacks are left in CALLBACK_SPOOL_DIR and nowhere else: {callbacks}; start a gateway with this directory \
                 again, or move its *.callback files into that of another one"
            ),
            Err(error) => tracing::error!(
                %error,
                "CALLBACK_SPOOL_DIR cannot be read: callbacks may be left in it and nowhere else"
            ),
        }
    }
}

/// Whoever told the process to end at once knows why they are.
fn tell_of_cut_off(requests: usize, was_out_of_time: bool) {
    if was_out_of_time {
        tracing::warn!(
            requests,
            "Requests that took longer than SHUTDOWN_TIMEOUT_SECONDS were cut off: {requests}; raise it, and with it the time \
             after which the process is killed (terminationGracePeriodSeconds in Kubernetes)"
        );
    } else {
        tracing::warn!(
            requests,
            "Requests that were under way were cut off: {requests}"
        );
    }
}
