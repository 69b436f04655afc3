//! `Idempotency-Key`: a request sent twice makes one job, or one batch.
//!
//! The key is reserved before anything is streamed and completed in the commit that makes the job or the batch. A
//! reservation is a lease: whoever holds it renews it, and gives it back if nothing comes of it, however the request ends.

use std::time::Duration;

use axum::http::HeaderMap;
use sqlx::PgConnection;
use tokio::task::JoinHandle;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument;
use uuid::Uuid;

use super::{
    problem::{Problem, ProblemType},
    request_scope::request_id::after_panic,
    state::AppState,
};
use crate::{
    db::{
        idempotency::{self, Reservation},
        pool::{CallerPool, in_time},
    },
    domain::{
        idempotency::{Fingerprint, IdempotencyKey, Made},
        ids::{BatchId, JobId, TenantId},
    },
};

/// The header.
pub const HEADER: &str = "idempotency-key";

/// In the answer to a repetition.
pub const REPLAYED_HEADER: &str = "idempotency-replayed";

/// How long a silent request keeps its key.
const LEASE: Duration = Duration::from_mins(1);

/// Reads the header.
///
/// # Errors
/// Where it breaks the rule.
pub fn key_of(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(Problem::header("Idempotency-Key", "must be sent once")),
        (Some(value), None) => match IdempotencyKey::parse(value.as_bytes()) {
            Some(key) => Ok(Some(key)),
            None => Err(Problem::header("Idempotency-Key", IdempotencyKey::RULE)),
        },
    }
}

/// What an earlier request with this key made.
#[derive(Debug)]
pub struct Earlier {
    made: Made,
    fingerprint: Vec<u8>,
}

impl Earlier {
    /// The job, if this request is the same as the one that made it.
    ///
    /// # Errors
    /// 422 where it is another.
    pub fn same_job(&self, fingerprint: Fingerprint) -> Result<JobId, Problem> {
        match self.made {
            Made::Job(id) if self.is_of(fingerprint) => Ok(id),
            Made::Job(_) | Made::Batch(_) => Err(reused()),
        }
    }

    /// The batch, if this request is the same as the one that made it.
    ///
    /// # Errors
    /// 422 where it is another.
    pub fn same_batch(&self, fingerprint: Fingerprint) -> Result<BatchId, Problem> {
        match self.made {
            Made::Batch(id) if self.is_of(fingerprint) => Ok(id),
            Made::Job(_) | Made::Batch(_) => Err(reused()),
        }
    }

    fn is_of(&self, fingerprint: Fingerprint) -> bool {
        self.fingerprint == fingerprint.as_bytes()
    }
}

fn reused() -> Problem {
    Problem::new(
        ProblemType::IdempotencyKeyReused,
        "An earlier request with this Idempotency-Key was another: it had other options, other audio, or made something else. \
         Use a new key for a new request.",
    )
}

/// What a key allows.
pub enum Claimed {
    /// The request goes on, and holds the key.
    Held(HeldKey),
    /// Something was made before.
    Earlier(Earlier),
}

/// A reserved key. Given back when dropped, unless something was made.
pub struct HeldKey {
    callers: CallerPool,
    /// The process does not end before the key is given back: else whoever repeats the request elsewhere has to wait for the lease.
    open: TaskTrackerToken,
    tenant_id: TenantId,
    key: IdempotencyKey,
    holder: Uuid,
    renewal: Option<JoinHandle<()>>,
    /// Whether there is nothing to give back (any more).
    is_settled: bool,
    /// How long it counts once it is completed, where that is not for good.
    counts_for: Duration,
}

impl HeldKey {
    /// Reserves a key. In a task of its own: a caller who hangs up meanwhile does not keep it from being given back.
    ///
    /// # Errors
    /// 409 while another request holds it.
    pub async fn claim(
        state: &AppState,
        tenant_id: TenantId,
        key: IdempotencyKey,
    ) -> Result<Claimed, Problem> {
        let state = state.clone();
        let claiming = async move { Self::claim_here(&state, tenant_id, key).await };
        let claimed = tokio::spawn(claiming.in_current_span()).await;
        claimed.unwrap_or_else(|_| Err(after_panic()))
    }

    async fn claim_here(
        state: &AppState,
        tenant_id: TenantId,
        key: IdempotencyKey,
    ) -> Result<Claimed, Problem> {
        let holder = state.ids.next();
        let mut conn = state.callers.acquire(Some(tenant_id)).await?;
        // Before it is: where the answer is lost, it may be reserved all the same, and is given back.
        let mut held = Self::reserved(state, tenant_id, key, holder, Duration::ZERO);
        let reserving = idempotency::reserve(&mut conn, tenant_id, &held.key, holder, LEASE);
        let reserved = in_time(reserving).await?;
        conn.put_back();
        held.is_settled = reserved != Reservation::Reserved;
        match reserved {
            Reservation::Reserved => Ok(Claimed::Held(held)),
            Reservation::Completed { made, fingerprint } => Ok(Claimed::Earlier(Earlier { made, fingerprint })),
            Reservation::InProgress { retry_after } => Err(Problem::new(
                ProblemType::IdempotencyKeyInProgress,
                "Another request with this Idempotency-Key has not ended. Repeat this one later to get what it makes.",
            )
            .with_retry_after(retry_after.min(Duration::from_secs(5)))),
        }
    }

    /// A key that was reserved.
    #[must_use]
    pub fn reserved(
        state: &AppState,
        tenant_id: TenantId,
        key: IdempotencyKey,
        holder: Uuid,
        counts_for: Duration,
    ) -> Self {
        Self {
            callers: state.callers.clone(),
            open: state.tasks.token(),
            tenant_id,
            key,
            holder,
            renewal: None,
            is_settled: false,
            counts_for,
        }
    }

    /// Keeps the reservation alive while a file streams, by renewing it at this interval.
    pub fn keep_alive(&mut self, interval: Duration) {
        let (callers, tenant_id, key, holder) = (
            self.callers.clone(),
            self.tenant_id,
            self.key.clone(),
            self.holder,
        );
        self.renewal = Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let renewed = async {
                    let conn = callers.whole().acquire().await?;
                    let renewing = conn.put_back_after(async |conn| {
                        idempotency::renew(conn, tenant_id, &key, holder, LEASE).await
                    });
                    renewing.await
                };
                // A renewal that fails is tried again; a lost reservation is noticed at the commit.
                if matches!(in_time(renewed).await, Ok(false)) {
                    return;
                }
            }
        }));
    }

    /// Ties the key to what its request makes, in the transaction that makes it.
    ///
    /// # Errors
    /// 409 where the reservation was lost: another request may have made it meanwhile.
    pub async fn complete(
        &mut self,
        conn: &mut PgConnection,
        fingerprint: Fingerprint,
        made: Made,
    ) -> Result<(), Problem> {
        let completed = idempotency::complete(
            conn,
            self.tenant_id,
            &self.key,
            self.holder,
            fingerprint,
            made,
            self.counts_for,
        )
        .await?;
        if completed {
            return Ok(());
        }
        Err(Problem::new(
            ProblemType::IdempotencyKeyInProgress,
            "This request took so long that another one with its Idempotency-Key took over. Repeat it to get what that one made.",
        )
        .with_retry_after(Duration::from_secs(1)))
    }

    /// Gives the key back at once, so that a repetition right after the answer finds it free.
    pub async fn release(mut self) {
        if let Ok(conn) = self.callers.whole().acquire().await {
            let releasing = conn.put_back_after(async |conn| {
                idempotency::release(conn, self.tenant_id, &self.key, self.holder).await
            });
            // Else, and where the caller hangs up before that, it is tried once more.
            self.is_settled = in_time(releasing).await.is_ok();
        }
    }

    /// The transaction is committed: the key stays with what was made.
    pub fn committed(mut self) {
        self.is_settled = true;
    }
}

/// Gives a key back before its request is refused.
pub async fn give_back(held: Option<HeldKey>, problem: Problem) -> Problem {
    if let Some(key) = held {
        key.release().await;
    }
    problem
}

impl Drop for HeldKey {
    fn drop(&mut self) {
        if let Some(renewal) = self.renewal.take() {
            renewal.abort();
        }
        if self.is_settled {
            return;
        }
        let (callers, tenant_id, key, holder) = (
            self.callers.clone(),
            self.tenant_id,
            self.key.clone(),
            self.holder,
        );
        // The request may have been dropped with its connection, so this cannot be awaited. If it fails, the lease ends.
        self.open.task_tracker().spawn(async move {
            if let Ok(conn) = callers.whole().acquire().await {
                let releasing = conn.put_back_after(async |conn| {
                    idempotency::release(conn, tenant_id, &key, holder).await
                });
                let _ = in_time(releasing).await;
            }
        });
    }
}
