//! Callbacks that come at the same time [share a commit](crate::db::group_commit), where they are what almost every one is.
//!
//! Nothing is lost by trying: one that the shared commit leaves out, for whatever reason, goes the way on which it is alone. A
//! large one goes there at once. Its bytes are most of what it costs, and would keep others waiting.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{Arrival, COMMIT_TIMEOUT, Content, Intake, commit::count};
use crate::{
    db::{
        callbacks::{self, CallbackOutcome, called_back::RecordedGroup},
        group_commit::Committer,
        pool::Pool,
    },
    domain::ids::{AttemptId, CallbackId},
    gladia::callback::Report,
    journal::{
        announce::Announcer,
        body::KeptBody,
        carry_out::{observe, received},
    },
};

/// The largest body, compressed, that shares a commit.
const MAX_SHARED_BYTES: usize = 128 * 1024;

/// How long a shared commit may take, and how long it is waited for: half as long as an arriving callback has.
const SHARED_TIMEOUT: Duration = Duration::from_secs(COMMIT_TIMEOUT.as_secs() / 2);

/// A callback that ends its job, as far as can be told from itself.
pub(super) struct ArrivedCallback {
    id: CallbackId,
    attempt_id: AttemptId,
    method: &'static str,
    body: Arc<KeptBody>,
}

/// What commits them.
pub(super) struct CallbackCommitter {
    pub(super) pool: Pool,
    pub(super) announcer: Announcer,
}

impl Intake {
    /// `None`: it has to go alone.
    pub(super) async fn commit_in_group(
        &self,
        arrival: Arrival,
        content: &Content,
    ) -> Option<CallbackOutcome> {
        let Content::Whole(body) = content else {
            return None;
        };
        let ends_its_job = body.compressed().zstd.len() <= MAX_SHARED_BYTES
            && matches!(body.report(), Ok(Report::Ended(_)))
            && !(self.wants_proof && body.success().is_some());
        if !ends_its_job {
            return None;
        }
        let callback = ArrivedCallback {
            id: self.ids.next(),
            attempt_id: arrival.attempt_id,
            method: arrival.method,
            body: Arc::clone(body),
        };
        let until = Instant::now() + SHARED_TIMEOUT;
        timeout_at(until, self.group_commit.commit(callback))
            .await
            .ok()??
    }
}

impl Committer for CallbackCommitter {
    type Item = ArrivedCallback;
    type Outcome = Option<CallbackOutcome>;

    const MOST_AT_ONCE: usize = 32;

    async fn commit(&self, callbacks: Vec<ArrivedCallback>) -> Vec<Option<CallbackOutcome>> {
        let since = Instant::now();
        let recorded = self
            .record(&callbacks, since + SHARED_TIMEOUT)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(%error, count = callbacks.len(), "Could not commit callbacks together; each is tried by itself");
                RecordedGroup::default()
            });
        let RecordedGroup { each, announced } = recorded;
        // First of all, since callers wait.
        if each.iter().any(Option::is_some) {
            self.announcer.announce(announced, since);
        }
        let mut each = each.into_iter();
        let outcomes = callbacks.iter().map(|callback| {
            let recorded = each.next().flatten()?;
            if let Some(called_back) = &recorded.of {
                let arrived_at = callback.body.arrived_at();
                observe(
                    callback.attempt_id,
                    recorded.outcome,
                    called_back,
                    arrived_at,
                );
            }
            count(recorded.outcome);
            Some(recorded.outcome)
        });
        outcomes.collect()
    }
}

impl CallbackCommitter {
    async fn record(
        &self,
        callbacks: &[ArrivedCallback],
        deadline: Instant,
    ) -> sqlx::Result<RecordedGroup> {
        let mut conn = self.pool.acquire_by(deadline).await?;
        let callbacks: Vec<_> = callbacks
            .iter()
            .map(|one| received(one.id, one.attempt_id, one.method, &one.body))
            .collect();
        let tells = self.announcer.tells();
        let recorded = callbacks::record_all(&mut conn, &callbacks, tells.as_ref());
        let recorded = timeout_at(deadline, recorded).await;
        conn.settle(recorded)
    }
}
