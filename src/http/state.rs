//! What handlers share.

use std::{ops::Deref, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgConnection;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    db::{
        pool::{CallerPool, Loan, Pool},
        wakeups::Wakeups,
    },
    domain::{ids::Ids, links::Links, options::OptionsPolicy, plan::Plan},
    feed::Feed,
    gladia::{callback_keys::CallbackKeys, client::GladiaClient, webhook_secrets::WebhookSecrets},
    http::{
        auth::presumed::KnownKeys,
        request_scope,
        server::{
            overload::{Answers, Gate},
            start::Start,
        },
        sse::Streams,
        transcriptions::group_commit::JobGroupCommit,
        wait::WaitingRoom,
    },
    journal::intake::Intake,
    notify::{client::Notifier, sealing::Sealer},
    turns::Turns,
};

/// How much of results may be unpacked at once, in MiB of the bodies that hold them. To render one takes about four times
/// its size for a moment.
pub const UNPACKED_MIB: u32 = 128;

/// The service, as handlers see it. Each request clones it many times, so there is one.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl From<Shared> for AppState {
    fn from(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

/// What the service is made of.
pub struct Shared {
    /// The database, for what is nobody's request.
    pub pool: Pool,
    /// The same for callers, none of whom gets all of it.
    pub callers: CallerPool,
    /// Gladia.
    pub gladia: GladiaClient,
    /// Keys that sign and verify callback addresses.
    pub callback_keys: CallbackKeys,
    /// Who may send account webhooks; without any they are not taken.
    pub webhook_secrets: Option<WebhookSecrets>,
    /// Keeps the secrets of outgoing webhooks.
    pub sealer: Sealer,
    /// API keys that were found before.
    pub known_keys: KnownKeys,
    /// Commits new jobs.
    pub job_group_commit: JobGroupCommit,
    /// Tells workers of new jobs and free slots.
    pub wakeups: Wakeups,
    /// Where new ids come from.
    pub ids: Ids,
    /// Bounds on bodies and times.
    pub limits: HttpLimits,
    /// How requests are judged.
    pub rules: Arc<RequestRules>,
    /// Where callers find what they are told of.
    pub links: Links,
    /// What happens, for those who wait for it.
    pub feed: Feed,
    /// Tells receivers outside, and judges where callers want to be told.
    pub notifier: Notifier,
    /// The open event streams of this process.
    pub streams: Streams,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// Where callbacks are kept.
    pub intake: Intake,
    /// Whether the database has been brought up, so that the API can be served.
    pub start: Start,
    /// How many callback bodies are held in memory at once.
    pub callback_permits: Arc<Semaphore>,
    /// Work that goes on when its caller has hung up, and that a shutdown waits for.
    pub tasks: TaskTracker,
    /// Canceled when the process is about to end: it is ready for nothing then, and goes on.
    pub leaving: CancellationToken,
    /// Canceled when the process is to end: whoever waits for news is answered then.
    pub stopping: CancellationToken,
    /// Admits requests in turn.
    pub gate: Gate,
    /// What callers are still to take.
    pub answers: Answers,
    /// Who may wait.
    pub waiting_room: WaitingRoom,
    /// Whether Gladia keeps nothing for the account: no file goes there or comes from there.
    pub zero_data_retention: bool,
    /// How many results are read at once.
    pub result_turns: Turns,
    /// How much of them is unpacked at once.
    pub unpacking_mib: Arc<Semaphore>,
}

impl Shared {
    /// Waits for a connection for the request that is being handled, and has work done with it. Whatever has succeeded leaves it at
    /// hand, for the next one. A body, or a task that goes on without its caller, says whose it is:
    /// `callers.acquire(Some(tenant_id))`.
    ///
    /// # Errors
    /// The work's own; and where the database does not answer or refuses, or no connection comes in time.
    pub async fn with_conn<T, E: From<sqlx::Error>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.conn().await?.put_back_after(work).await
    }

    /// As [`Self::with_conn`], for work that gives the connection back by itself, since it may not have read all of an answer.
    ///
    /// # Errors
    /// The work's own, and where none comes in time.
    pub async fn lend<T, E: From<sqlx::Error>>(
        &self,
        work: impl AsyncFnOnce(Loan) -> Result<T, E>,
    ) -> Result<T, E> {
        let conn = self.callers.acquire(request_scope::tenant()).await?;
        work(conn).await
    }

    /// As [`Self::with_conn`], for whoever puts it back by itself ([`Loan::put_back`]): every request would pay for the larger
    /// future, or it is done with it in the middle of its work.
    ///
    /// # Errors
    /// Where the database does not answer or refuses, or none comes in time.
    pub async fn conn(&self) -> sqlx::Result<Loan> {
        self.callers.acquire(request_scope::tenant()).await
    }

    /// Where callers find what is at a path of the API: below `API_URL`, or on the host that was asked.
    #[must_use]
    pub fn link(&self, path: &str) -> String {
        self.links.to(path)
    }
}

/// What the account and its operator make of requests.
#[derive(Debug)]
pub struct RequestRules {
    /// Options on which opinions differ.
    pub options: OptionsPolicy,
    /// What Gladia allows.
    pub plan: Plan,
    /// Whether a caller's word is enough to send again what may be billed twice; else it takes an operator's.
    pub callers_accept_second_bills: bool,
    /// How long a create at `/v2` whose answer did not get out counts as the first of the same one.
    pub create_repeat_window: Duration,
    /// Keys of `custom_metadata` whose values outlive their job's content.
    pub usage_metadata_keys: Vec<String>,
}

/// Bounds on what callers and Gladia may send.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// A file.
    pub max_upload_bytes: u64,
    /// A JSON body, or the `options` part of a form.
    pub max_request_bytes: usize,
    /// The body of a batch.
    pub max_batch_bytes: usize,
    /// How long a JSON or callback body may take to arrive.
    pub request_timeout: Duration,
    /// How long an upload may deliver nothing.
    pub upload_idle_timeout: Duration,
    /// How often one renews the idempotency key that it holds.
    pub key_renewal_interval: Duration,
}
