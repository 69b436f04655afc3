//! Callbacks that come at the same time [share a commit](crate::db::together), where they are what almost every one is.
//!
//! Nothing is lost by trying: one that the shared commit leaves out, for whatever reason, goes the way on which it is alone. A
//! large one goes there at once. Its bytes are most of what it costs, and would keep others waiting.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{Arrival, Content, Intake, commit::count};
use crate::{
    db::{
        callbacks::{self, CallbackOutcome},
        called_back::RecordedTogether,
        pool::Pool,
        together::Commit,
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
pub(super) const SHARED_TIMEOUT: Duration = Duration::from_secs(4);

/// A callback that ends its job, as far as can be told from itself.
pub(super) struct Ending {
    id: CallbackId,
    attempt_id: AttemptId,
    method: &'static str,
    body: Arc<KeptBody>,
}

/// What commits them.
pub(super) struct Endings {
    pub(super) pool: Pool,
    pub(super) announcer: Announcer,
}

impl Intake {
    /// `None`: it has to go alone.
    pub(super) async fn commit_together(
        &self,
        arrival: Arrival,
        content: &Content,
    ) -> Option<CallbackOutcome> {
        let Content::Whole(body) = content else {
            return None;
        };
        let is_one = body.compressed().zstd.len() <= MAX_SHARED_BYTES
            && matches!(body.report(), Ok(Report::Ended(_)))
            && !(self.wants_proof && body.success().is_some());
        if !is_one {
            return None;
        }
        let ending = Ending {
            id: self.ids.next(),
            attempt_id: arrival.attempt_id,
            method: arrival.method,
            body: Arc::clone(body),
        };
        let until = Instant::now() + SHARED_TIMEOUT;
        timeout_at(until, self.endings.commit(ending))
            .await
            .ok()??
    }
}

impl Commit for Endings {
    type Item = Ending;
    type Outcome = Option<CallbackOutcome>;

    const MOST_TOGETHER: usize = 32;

    async fn commit(&self, endings: Vec<Ending>) -> Vec<Option<CallbackOutcome>> {
        let since = Instant::now();
        let recorded = self
            .record(&endings, since + SHARED_TIMEOUT)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(%error, count = endings.len(), "Could not commit callbacks together; each is tried by itself");
                RecordedTogether::default()
            });
        let RecordedTogether { each, announced } = recorded;
        // First of all, since callers wait.
        if each.iter().any(Option::is_some) {
            self.announcer.announce(announced, since);
        }
        let mut each = each.into_iter();
        let outcomes = endings.iter().map(|ending| {
            let recorded = each.next().flatten()?;
            if let Some(called_back) = &recorded.of {
                let arrived_at = ending.body.arrived_at();
                observe(ending.attempt_id, recorded.outcome, called_back, arrived_at);
            }
            count(recorded.outcome);
            Some(recorded.outcome)
        });
        outcomes.collect()
    }
}

impl Endings {
    async fn record(
        &self,
        endings: &[Ending],
        deadline: Instant,
    ) -> sqlx::Result<RecordedTogether> {
        let too_late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        let mut conn = timeout_at(deadline, self.pool.acquire())
            .await
            .map_err(too_late)??;
        let callbacks: Vec<_> = endings
            .iter()
            .map(|one| received(one.id, one.attempt_id, one.method, &one.body))
            .collect();
        let tells = self.announcer.tells();
        let recorded = callbacks::record_all(&mut conn, &callbacks, Some(&tells));
        let recorded = timeout_at(deadline, recorded).await;
        match &recorded {
            Ok(Ok(_)) => conn.put_back(),
            Ok(Err(_)) => {}
            // It was given up in the middle of whatever it was doing.
            Err(_) => conn.close_on_drop(),
        }
        recorded.map_err(too_late)?
    }
}
