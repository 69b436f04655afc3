//! Waking those who wait: in this process at once, in the others by NOTIFY.
//!
//! A NOTIFY inside a transaction holds an instance-wide lock until the commit is on disk and halves throughput. So it is
//! sent after the commit, by one task a process, and whatever happened meanwhile goes out as one. A lost one costs one
//! sweep of at most a second: every worker also looks on a timer.

use std::{sync::Arc, time::Duration};

use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The channel of the database.
const CHANNEL: &str = "gladia_gateway_jobs";

/// How long after the loss of the connection it is tried anew.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// Tells workers that a job was queued or a slot given back.
#[derive(Debug, Clone, Default)]
pub struct Wakeups(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    local: Notify,
    outgoing: Notify,
}

impl Wakeups {
    /// Something can be claimed: call it after the commit.
    pub fn jobs_changed(&self) {
        self.0.local.notify_one();
        self.0.outgoing.notify_one();
    }

    /// Waits for the next change. One that came since the last wait counts.
    pub async fn wait(&self) {
        self.0.local.notified().await;
    }

    /// Sends changes to other processes until told to stop.
    pub async fn send_to_others(&self, pool: PgPool, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.outgoing.notified() => {}
            }
            let sent = sqlx::query!("SELECT pg_notify($1, '')", CHANNEL)
                .execute(&pool)
                .await;
            if let Err(error) = sent {
                tracing::debug!(%error, "Could not wake other replicas; they look by themselves within a second");
            }
        }
    }

    /// Receives changes from other processes until told to stop.
    pub async fn receive_from_others(&self, pool: PgPool, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                result = self.listen(&pool) => {
                    if let Err(error) = result {
                        tracing::debug!(%error, "Lost the connection that listens for wake-ups; reconnecting");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RECONNECT_DELAY) => {}
            }
        }
    }

    async fn listen(&self, pool: &PgPool) -> sqlx::Result<()> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            // Also after a reconnection, since something may have been missed.
            listener.try_recv().await?;
            self.0.local.notify_one();
        }
    }
}
