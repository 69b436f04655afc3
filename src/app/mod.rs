//! The only wiring: settings become a pool, clients, routes and workers.

mod ending;
mod listeners;
mod metrics;
mod prepare;
mod starting;
mod workers;

use std::{
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use axum::Router;
use futures_util::FutureExt;
use tokio::{net::TcpListener, sync::Semaphore};

use self::starting::{BringingUp, Starting};
pub use self::{listeners::Listeners, prepare::check_encoding};
use crate::{
    config::{DatabaseSettings, ResendUnknown, ServeSettings, VerifyCallbacks},
    db::{
        self,
        pool::{CallerPool, Pool},
        wakeups::Wakeups,
    },
    domain::{ids::Ids, links::Links, options::OptionsPolicy},
    feed::Feed,
    gladia::client::GladiaClient,
    http::{
        self, Serves,
        auth::presumed::KnownKeys,
        server::{
            connections::Connections,
            overload::{Answers, Gate},
            serve::{self, HEAD_TIMEOUT, Timeouts},
            start::Start,
        },
        sse::{StreamTiming, Streams},
        state::{self, AppState, HttpLimits, RequestRules, UNPACKED_MIB},
        transcriptions::group_commit::JobGroupCommit,
        wait::WaitingRoom,
    },
    journal::{
        CALLBACKS_AT_ONCE,
        announce::Announcer,
        intake::{self, Intake},
        spool::Spool,
    },
    notify::{
        client::{self, Notifier, NotifierSettings},
        lookup::SystemLookup,
        sealing::Sealer,
    },
    shutdown::Shutdown,
    telemetry, tls,
    turns::Turns,
};

/// How many results are read at once.
const RESULTS_AT_ONCE: usize = 16;

/// A gateway that runs. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// The database.
    pub pool: Pool,
    shutdown: Shutdown,
    failed: Arc<AtomicBool>,
    /// How many requests its end has cut off.
    cut_off: Arc<AtomicUsize>,
    drain_timeout: Duration,
    timeouts: Timeouts,
    spool_dir: Option<PathBuf>,
}

/// Runs the service until it is told to stop.
///
/// # Errors
/// Where it cannot start, or a part of it crashed.
pub async fn serve(settings: ServeSettings, shutdown: Shutdown) -> anyhow::Result<()> {
    let listeners = Listeners::bind(&settings.addresses).await?;
    let starting = Gateway::open(settings, listeners, &shutdown)?;
    let gateway = starting.gateway.clone();
    let started = shutdown.soft.run_until_cancelled(starting.finish()).await;
    if let Some(Err(error)) = started {
        gateway.give_up().await;
        return Err(error);
    }
    gateway.run().await
}

impl Gateway {
    /// Starts the service on sockets that are bound, and waits until it is up, or goes on without a database that is away.
    ///
    /// # Errors
    /// Where the database is away or refuses, or a setting does not fit what is in it.
    pub async fn start(
        settings: ServeSettings,
        listeners: Listeners,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let starting = Self::open(settings, listeners, &shutdown)?;
        let gateway = starting.gateway.clone();
        if let Err(error) = starting.finish().await {
            gateway.give_up().await;
            return Err(error);
        }
        Ok(gateway)
    }

    /// Listens, and begins to bring the database up.
    fn open(
        settings: ServeSettings,
        listeners: Listeners,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Starting> {
        settings.check()?;
        let settings = Arc::new(settings);
        // Reads the root certificates while the rest is set up.
        tokio::task::spawn_blocking(tls::read_roots);
        if settings.addresses.api_url.is_none() {
            tracing::warn!(
                "API_URL is not set: links in webhooks, streams and the change list are paths without a host"
            );
        }
        tell_of_ignored(&settings.database);
        let metrics = telemetry::metrics_handle()?;
        metrics::begin();
        let spool = open_spool(&settings)?;
        let DatabaseSettings {
            database_url,
            database_pool_size,
        } = &settings.database;
        // One connection of DATABASE_POOL_SIZE is the listener's.
        let pool = Pool::from(db::lazy_pool(
            database_url.options(),
            database_pool_size - 1,
        ));
        let ids = Ids::random();
        let sealer = Sealer::new(settings.callbacks.callback_keys.derive_sealing_keys())?;
        let bringing_up = BringingUp::begin(&pool, &settings, &sealer, &ids);
        let gladia = GladiaClient::new(&settings.gladia.settings())?;
        let wakeups = Wakeups::default();
        let announcer = Announcer::new(ids.clone(), wakeups.clone());
        let intake = Intake::new(intake::Parts {
            pool: pool.clone(),
            ids: ids.clone(),
            wakeups: wakeups.clone(),
            spool,
            max_body_bytes: settings.callbacks.max_callback_bytes,
            zero_data_retention: settings.gladia.gladia_zero_data_retention,
            wants_proof: settings.callbacks.verify_callbacks == VerifyCallbacks::Fetch,
            announcer,
            tasks: shutdown.tracker.clone(),
        });
        let state = AppState::from(state::Shared {
            gate: gate(&settings),
            answers: Answers::new(settings.requests.max_answer_memory_bytes),
            pool: pool.clone(),
            callers: CallerPool::new(pool.clone()),
            gladia: gladia.clone(),
            callback_keys: settings.callbacks.callback_keys.clone(),
            webhook_secrets: settings.callbacks.gladia_webhook_secrets.clone(),
            sealer,
            known_keys: KnownKeys::default(),
            job_group_commit: JobGroupCommit::new(
                pool.clone(),
                shutdown.tracker.clone(),
                wakeups.clone(),
                settings.requests.usage_metadata_keys.clone(),
            ),
            wakeups: wakeups.clone(),
            ids: ids.clone(),
            limits: limits(&settings),
            rules: Arc::new(rules(&settings)),
            links: Links::new(settings.addresses.api_url.clone()),
            feed: Feed::default(),
            notifier: notifier(&settings)?,
            streams: streams(&settings, shutdown),
            metrics,
            intake,
            start: Start::default(),
            callback_permits: Arc::new(Semaphore::new(CALLBACKS_AT_ONCE)),
            tasks: shutdown.tracker.clone(),
            leaving: shutdown.leaving.clone(),
            stopping: shutdown.soft.clone(),
            waiting_room: WaitingRoom::new(settings.requests.max_waiting_requests),
            zero_data_retention: settings.gladia.gladia_zero_data_retention,
            result_turns: Turns::new(RESULTS_AT_ONCE, usize::MAX),
            unpacking_mib: Arc::new(Semaphore::new(UNPACKED_MIB as usize)),
        });
        let gateway = Self {
            pool: pool.clone(),
            shutdown: shutdown.clone(),
            failed: Arc::default(),
            cut_off: Arc::default(),
            drain_timeout: settings.requests.shutdown_timeout,
            timeouts: timeouts(&settings),
            spool_dir: settings.callbacks.callback_spool_dir.clone(),
        };
        gateway.listen(listeners, &settings, &state)?;
        Ok(Starting {
            gateway,
            settings,
            state,
            bringing_up,
        })
    }

    /// Serves each address.
    fn listen(
        &self,
        listeners: Listeners,
        settings: &ServeSettings,
        state: &AppState,
    ) -> anyhow::Result<()> {
        let bounds = listeners.bounds(settings);
        let own_callbacks = listeners.callbacks.is_some();
        let own_ops = listeners.ops.is_some();
        let everything = Serves {
            api: true,
            callbacks: !own_callbacks,
            ops: !own_ops,
        };
        let router = http::router(state.clone(), everything);
        self.serve_router("http", listeners.main, bounds.main, router)?;
        if let Some(listener) = listeners.callbacks {
            let serves = Serves {
                api: false,
                callbacks: true,
                ops: false,
            };
            let router = http::router(state.clone(), serves);
            self.serve_router("http.callbacks", listener, bounds.callbacks, router)?;
        }
        if let Some(listener) = listeners.ops {
            let serves = Serves {
                api: false,
                callbacks: false,
                ops: true,
            };
            let router = http::router(state.clone(), serves);
            self.serve_router("http.ops", listener, bounds.ops, router)?;
        }
        Ok(())
    }

    fn serve_router(
        &self,
        name: &'static str,
        listener: TcpListener,
        most: usize,
        router: Router,
    ) -> anyhow::Result<()> {
        let address = listener.local_addr()?;
        tracing::info!(%address, "Listening on {address} ({name})");
        let Shutdown {
            leaving,
            soft,
            hard,
            ..
        } = self.shutdown.clone();
        let served = serve::serve(
            listener,
            router,
            self.timeouts,
            Connections::at_most(most),
            leaving,
            soft,
            hard,
        );
        let cut_off = Arc::clone(&self.cut_off);
        self.spawn(
            name,
            served.map(move |requests| {
                cut_off.fetch_add(requests, Ordering::SeqCst);
            }),
        );
        Ok(())
    }

    /// Runs a part of the service. A crash stops the whole, with a failing exit code, so that whoever watches restarts it.
    fn spawn(&self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        let (shutdown, failed) = (self.shutdown.clone(), Arc::clone(&self.failed));
        self.shutdown.tracker.spawn(async move {
            let ended = AssertUnwindSafe(part).catch_unwind().await;
            if ended.is_err() || !shutdown.soft.is_cancelled() {
                tracing::error!(part = name, "A part of the gateway crashed; stopping");
                failed.store(true, Ordering::SeqCst);
                shutdown.soft.cancel();
            }
        });
    }
}

fn tell_of_ignored(settings: &DatabaseSettings) {
    let ignored = settings.database_url.ignored();
    if !ignored.is_empty() {
        tracing::warn!(
            "DATABASE_URL: the gateway does not know these parameters, and they have no effect: {}",
            ignored.join(", ")
        );
    }
}

/// Opens the directory for callbacks that cannot be committed, where one is set.
fn open_spool(settings: &ServeSettings) -> anyhow::Result<Option<Spool>> {
    let Some(directory) = &settings.callbacks.callback_spool_dir else {
        return Ok(None);
    };
    let spool = Spool::open(directory.clone()).context("CALLBACK_SPOOL_DIR")?;
    Ok(Some(spool))
}

/// What sends webhooks and callbacks.
fn notifier(settings: &ServeSettings) -> anyhow::Result<Notifier> {
    let notifier_settings = NotifierSettings {
        allowed_networks: settings.webhooks.webhook_allowed_networks.clone(),
        allowed_ports: settings.webhooks.webhook_allowed_ports.clone(),
        timeout: client::TIMEOUT,
    };
    let notifier = Notifier::new(&notifier_settings, Arc::new(SystemLookup::default()));
    notifier.context("the HTTP client of webhooks could not be built")
}

fn gate(settings: &ServeSettings) -> Gate {
    Gate::new(
        settings.requests.max_requests_at_once,
        settings.requests.max_body_memory_bytes,
    )
}

fn timeouts(settings: &ServeSettings) -> Timeouts {
    Timeouts {
        head: HEAD_TIMEOUT,
        keep_alive: settings.requests.keep_alive,
        answer_idle: settings.requests.answer_idle_timeout,
    }
}

fn limits(settings: &ServeSettings) -> HttpLimits {
    HttpLimits {
        max_upload_bytes: settings.requests.max_upload_bytes,
        max_request_bytes: settings.requests.max_request_bytes,
        max_batch_bytes: settings.requests.max_batch_bytes,
        request_timeout: settings.requests.request_timeout,
        upload_idle_timeout: settings.requests.upload_idle_timeout,
        key_renewal_interval: settings.requests.key_renewal_interval,
    }
}

fn streams(settings: &ServeSettings, shutdown: &Shutdown) -> Streams {
    let settings = &settings.streams;
    let timing = StreamTiming {
        heartbeat_interval: settings.stream_heartbeat_interval,
        send_timeout: settings.stream_send_timeout,
        most_life: settings.stream_most_life,
    };
    Streams::new(settings.max_streams, timing, shutdown.soft.clone())
}

fn rules(settings: &ServeSettings) -> RequestRules {
    RequestRules {
        options: OptionsPolicy {
            accepts_code_switching_without_languages: settings
                .requests
                .accept_code_switching_without_languages,
        },
        plan: settings.gladia.gladia_plan,
        callers_accept_second_bills: settings.settling.resend_unknown != ResendUnknown::Never,
        create_repeat_window: settings.requests.v2_create_repeat_window,
        usage_metadata_keys: settings.requests.usage_metadata_keys.clone(),
    }
}
