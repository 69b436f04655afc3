//! The only wiring: settings become a pool, clients, routes and workers.

use std::{
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use axum::Router;
use futures_util::FutureExt;
use rand::distr::{Alphanumeric, SampleString};
use sqlx::{PgConnection, PgPool};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{
    config::{AddressSettings, ServeSettings},
    db::{self, api_keys::NewApiKey, wakeups::Wakeups},
    domain::{
        access::{ApiKey, Scope, TenantName},
        ids::{Ids, TenantId},
    },
    gladia::{callback_keys::CallbackKeys, client::GladiaClient},
    http::{
        self, Serves,
        serve::HEAD_TIMEOUT,
        state::{AppState, HttpLimits},
    },
    shutdown::Shutdown,
    telemetry,
    workers::{
        settle,
        submit::{self, Submitter},
    },
};

/// How many callback bodies are in memory at once; with the limit on each, the bound on what they take.
const CALLBACKS_AT_ONCE: usize = 16;

/// How many results are unpacked at once.
const RESULTS_AT_ONCE: usize = 16;

/// Sockets that are bound, so that their addresses are known before anything else starts.
#[derive(Debug)]
pub struct Listeners {
    main: TcpListener,
    callbacks: Option<TcpListener>,
    ops: Option<TcpListener>,
}

impl Listeners {
    /// Binds the addresses of the settings.
    ///
    /// # Errors
    /// Where one is taken or not ours; the error names its setting.
    pub async fn bind(addresses: &AddressSettings) -> anyhow::Result<Self> {
        let bind = async |name: &str, address: SocketAddr| {
            TcpListener::bind(address).await.with_context(|| {
                format!("{name}: cannot listen on {address}; free it or choose another")
            })
        };
        let optional = async |name: &str, address: Option<SocketAddr>| match address {
            Some(address) => bind(name, address).await.map(Some),
            None => Ok(None),
        };
        Ok(Self {
            main: bind("LISTEN_ADDR", addresses.listen_addr).await?,
            callbacks: optional("CALLBACK_LISTEN_ADDR", addresses.callback_listen_addr).await?,
            ops: optional("OPS_LISTEN_ADDR", addresses.ops_listen_addr).await?,
        })
    }

    /// Where the API listens.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn main_addr(&self) -> std::io::Result<SocketAddr> {
        self.main.local_addr()
    }

    /// Where callbacks are received.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn callback_addr(&self) -> std::io::Result<SocketAddr> {
        self.callbacks.as_ref().unwrap_or(&self.main).local_addr()
    }

    /// Where probes and metrics are.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn ops_addr(&self) -> std::io::Result<SocketAddr> {
        self.ops.as_ref().unwrap_or(&self.main).local_addr()
    }
}

/// A gateway that runs.
#[derive(Debug)]
pub struct Gateway {
    /// The database.
    pub pool: PgPool,
    shutdown: Shutdown,
    failed: Arc<AtomicBool>,
    drain_timeout: Duration,
}

/// Runs the service until it is told to stop.
///
/// # Errors
/// Where it cannot start, or a part of it crashed.
pub async fn serve(settings: ServeSettings, shutdown: Shutdown) -> anyhow::Result<()> {
    let listeners = Listeners::bind(&settings.addresses).await?;
    let soft = shutdown.soft.clone();
    tokio::select! {
        // Biased, so that a start that is through is never thrown away.
        biased;
        gateway = Gateway::start(settings, listeners, shutdown) => gateway?.run().await,
        () = soft.cancelled() => Ok(()),
    }
}

impl Gateway {
    /// Starts the service on sockets that are bound.
    ///
    /// # Errors
    /// Where the database is away or refuses, or a setting does not fit what is in it.
    pub async fn start(
        settings: ServeSettings,
        listeners: Listeners,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let metrics = telemetry::metrics_handle()?;
        let database_url = &settings.database.database_url;
        let pool = db::connect(database_url.options(), settings.database.database_pool_size)
            .await
            .with_context(|| {
                format!("DATABASE_URL: cannot reach the database at {database_url}")
            })?;
        let ids = Ids::random();
        prepare_database(&pool, &settings, &ids).await?;
        let gladia = GladiaClient::new(&settings.gladia.settings())?;
        let wakeups = Wakeups::default();

        let state = AppState {
            pool: pool.clone(),
            gladia: gladia.clone(),
            callback_keys: settings.callbacks.callback_keys.clone(),
            wakeups: wakeups.clone(),
            ids: ids.clone(),
            limits: limits(&settings),
            api_url: settings.addresses.api_url.clone(),
            metrics,
            callback_permits: Arc::new(Semaphore::new(CALLBACKS_AT_ONCE)),
            tasks: shutdown.tracker.clone(),
            result_permits: Arc::new(Semaphore::new(RESULTS_AT_ONCE)),
        };
        let gateway = Self {
            pool: pool.clone(),
            shutdown: shutdown.clone(),
            failed: Arc::default(),
            drain_timeout: settings.requests.shutdown_timeout,
        };
        gateway.listen(listeners, &state)?;

        let submitter = Submitter::new(submit::Parts {
            pool: pool.clone(),
            gladia,
            callback_keys: settings.callbacks.callback_keys,
            public_url: settings.addresses.public_url,
            wakeups: wakeups.clone(),
            ids,
            worker: worker_name(),
        });
        let Shutdown {
            soft,
            hard,
            tracker,
        } = shutdown;
        gateway.spawn("submit", submitter.run(tracker, soft.clone(), hard));
        gateway.spawn(
            "settle",
            settle::run(pool.clone(), wakeups.clone(), soft.clone()),
        );
        let (sender, receiver) = (wakeups.clone(), wakeups);
        let (sending_pool, sending_stop) = (pool.clone(), soft.clone());
        gateway.spawn("wakeups.send", async move {
            sender.send_to_others(sending_pool, sending_stop).await;
        });
        gateway.spawn("wakeups.receive", async move {
            receiver.receive_from_others(pool, soft).await;
        });
        Ok(gateway)
    }

    /// Waits for the end, and lets what is under way finish.
    ///
    /// # Errors
    /// Where a part of the service crashed.
    pub async fn run(self) -> anyhow::Result<()> {
        self.shutdown.soft.cancelled().await;
        if self.shutdown.drain(self.drain_timeout).await {
            tracing::info!("Stopped; everything under way has ended");
        } else {
            tracing::warn!(
                "Stopped before everything under way had ended; other replicas settle it from the rows"
            );
        }
        ensure!(
            !self.failed.load(Ordering::SeqCst),
            "a part of the gateway crashed; its log line says which"
        );
        Ok(())
    }

    /// Serves each address.
    fn listen(&self, listeners: Listeners, state: &AppState) -> anyhow::Result<()> {
        let own_callbacks = listeners.callbacks.is_some();
        let own_ops = listeners.ops.is_some();
        let everything = Serves {
            api: true,
            callbacks: !own_callbacks,
            ops: !own_ops,
        };
        self.serve_router(
            "http",
            listeners.main,
            http::router(state.clone(), everything),
        )?;
        if let Some(listener) = listeners.callbacks {
            let serves = Serves {
                api: false,
                callbacks: true,
                ops: false,
            };
            self.serve_router(
                "http.callbacks",
                listener,
                http::router(state.clone(), serves),
            )?;
        }
        if let Some(listener) = listeners.ops {
            let serves = Serves {
                api: false,
                callbacks: false,
                ops: true,
            };
            self.serve_router("http.ops", listener, http::router(state.clone(), serves))?;
        }
        Ok(())
    }

    fn serve_router(
        &self,
        name: &'static str,
        listener: TcpListener,
        router: Router,
    ) -> anyhow::Result<()> {
        let address = listener.local_addr()?;
        tracing::info!(%address, "Listening on {address} ({name})");
        let Shutdown { soft, hard, .. } = self.shutdown.clone();
        let served = http::serve::serve(listener, router, HEAD_TIMEOUT, soft, hard);
        self.spawn(name, served);
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

/// Brings the database to where this binary needs it, and checks that the settings fit what is in it.
async fn prepare_database(
    pool: &PgPool,
    settings: &ServeSettings,
    ids: &Ids,
) -> anyhow::Result<()> {
    if !settings.no_migrate {
        db::migrate(&settings.database.database_url.options())
            .await
            .context("the migrations could not be applied")?;
    }
    let mut conn = pool.acquire().await?;
    db::dispatch::seed(&mut conn, settings.dispatch.max_in_flight).await?;
    check_callback_keys(&mut conn, &settings.callbacks.callback_keys).await?;
    if let Some(key) = &settings.access.bootstrap_api_key {
        bootstrap(&mut conn, key, ids).await?;
    }
    Ok(())
}

/// An attempt whose key is gone could never be completed.
async fn check_callback_keys(conn: &mut PgConnection, keys: &CallbackKeys) -> anyhow::Result<()> {
    let missing: Vec<String> = db::attempts::list_key_ids_in_use(conn)
        .await?
        .into_iter()
        .filter(|id| !keys.contains(id))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "CALLBACK_KEYS: transcriptions in flight need the key(s) {}; add them behind the first one until those have ended",
        missing.join(", ")
    )
}

/// Makes sure that `BOOTSTRAP_API_KEY` opens the tenant `default`.
async fn bootstrap(conn: &mut PgConnection, key: &ApiKey, ids: &Ids) -> anyhow::Result<()> {
    let tenant_id = db::api_keys::find_or_insert_tenant(
        conn,
        ids.next::<TenantId>(),
        &TenantName::default_tenant(),
    )
    .await?;
    let new = NewApiKey {
        id: ids.next(),
        tenant_id,
        name: "bootstrap",
        scope: Scope::Admin,
        hash: key.hash(),
    };
    if db::api_keys::insert(conn, new).await? {
        tracing::info!("Stored BOOTSTRAP_API_KEY as the first admin key of tenant default");
    }
    Ok(())
}

fn limits(settings: &ServeSettings) -> HttpLimits {
    HttpLimits {
        max_upload_bytes: settings.requests.max_upload_bytes,
        max_request_bytes: settings.requests.max_request_bytes,
        max_callback_bytes: usize::try_from(settings.callbacks.max_callback_bytes)
            .unwrap_or(usize::MAX),
        request_timeout: settings.requests.request_timeout,
        upload_idle_timeout: settings.requests.upload_idle_timeout,
    }
}

/// A name for this process in the rows that it writes.
fn worker_name() -> String {
    let random = Alphanumeric.sample_string(&mut rand::rng(), 6);
    format!("{}-{random}", std::process::id())
}
