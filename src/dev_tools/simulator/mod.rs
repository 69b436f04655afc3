//! A Gladia that runs here: the pre-recorded API over real HTTP, for the demo and the tests.
//!
//! Three things stand behind its address. The _API_ takes uploads, creates, lists, serves and deletes jobs, and
//! answers errors in Gladia's envelope (`api`). With zero data retention it takes creates alone, and a result exists
//! until its callback was answered with 2xx. The _engine_ lets a bounded number of jobs run, spends time in
//! proportion to the length of the audio, writes the transcript and calls back (`engine`). The _control_ side under
//! `/_simulator/` shows the ledger of everything that was received and sent, gives the exact bytes of a result, and
//! switches faults on and off (`control`): requests that are refused or break, callbacks that are late, lost, doubled or
//! cut, lists that hide jobs or ignore a filter, jobs whose end shows late (`faults`). A fault may happen to a share of
//! the requests alone, by dice that a seed makes repeatable.
//!
//! Audio is decoded for real (`media`); words come from a [`Script`], or say that they are simulated. A second
//! listener stands for the object storage that Gladia redirects file downloads to, and reports any API key that
//! reaches it (`bucket`). Nothing is global: several simulators run side by side in one process.

mod api;
mod bucket;
mod clock;
mod control;
mod engine;
mod faults;
mod guard;
mod ledger;
mod media;
mod result;
mod script;
mod settings;
mod state;
mod storage;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::Router;
use tokio::{net::TcpListener, task::JoinHandle};
use url::Url;

use self::state::State;
pub use self::{
    script::{BUNDLED_RECORDING, BUNDLED_RECORDING_NAME, Script},
    settings::{SimulatorSettings, WebhookSettings},
};
use super::connection::{SeverableConnection, SeverableListener};

/// How long a stopping simulator waits for its connections before it leaves them.
const SHUTDOWN_BOUND: Duration = Duration::from_secs(2);

/// A running simulator. Dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    url: Url,
    state: Arc<State>,
    servers: Vec<JoinHandle<()>>,
}

impl Simulator {
    /// Binds its two listeners and starts to serve.
    ///
    /// # Errors
    ///
    /// If an address cannot be bound.
    pub async fn start(settings: SimulatorSettings) -> anyhow::Result<Self> {
        let listen = settings.listen;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("the simulator cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        // The storage is reached on the same interface, on a port of its own: another origin.
        let storage = TcpListener::bind((listen.ip(), 0))
            .await
            .context("the simulator cannot listen for file downloads")?;
        let storage_address = storage.local_addr()?;

        let url = own_url(address)?;
        let public_url = settings.public_url.clone().unwrap_or_else(|| url.clone());
        let mut bucket_url = public_url.clone();
        bucket_url.set_path("/");
        if bucket_url.set_port(Some(storage_address.port())).is_err() {
            anyhow::bail!("the public URL {public_url} cannot carry a port");
        }
        let state = Arc::new(State::new(settings, public_url, bucket_url)?);
        let servers = vec![
            serve(&state, listener, api::router(Arc::clone(&state))),
            serve(&state, storage, bucket::router(Arc::clone(&state))),
        ];
        Ok(Self {
            url,
            state,
            servers,
        })
    }

    /// Where it listens, for example `http://127.0.0.1:8080/`.
    #[must_use]
    pub fn url(&self) -> Url {
        self.url.clone()
    }

    /// Waits until one of its listeners has ended, which happens only on a failure or after a stop.
    pub async fn stopped(&self) {
        self.state.stop.cancelled().await;
    }

    /// Cuts open connections and running jobs, and frees the ports.
    pub async fn shutdown(mut self) {
        self.state.stop.cancel();
        self.state.tasks.close();
        for server in &mut self.servers {
            if tokio::time::timeout(SHUTDOWN_BOUND, &mut *server)
                .await
                .is_err()
            {
                server.abort();
            }
        }
        if tokio::time::timeout(SHUTDOWN_BOUND, self.state.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("The simulator stopped with work of its own still running");
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.state.stop.cancel();
    }
}

/// The address as a URL that a client on this machine can use: "any interface" becomes loopback.
fn own_url(address: std::net::SocketAddr) -> anyhow::Result<Url> {
    let mut reachable = address;
    if address.ip().is_unspecified() {
        reachable.set_ip(match address {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(Url::parse(&format!("http://{reachable}/"))?)
}

fn serve(state: &Arc<State>, listener: TcpListener, router: Router) -> JoinHandle<()> {
    let stop = state.stop.clone();
    let service = router.into_make_service_with_connect_info::<SeverableConnection>();
    tokio::spawn(async move {
        let stopped = stop.clone();
        let served = axum::serve(SeverableListener::new(listener), service)
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "The simulator stopped serving");
        }
        stopped.cancel();
    })
}
