//! The sockets, bound before anything else starts.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::net::TcpListener;

use crate::{
    config::{AddressSettings, ServeSettings},
    http::server::connections::{Bounds, Wanted, raise_file_limit},
    workers::deliver::MOST_CONNECTIONS,
};

/// Sockets that are bound, so that their addresses are known before anything else starts.
#[derive(Debug)]
pub struct Listeners {
    pub(super) main: TcpListener,
    pub(super) callbacks: Option<TcpListener>,
    pub(super) ops: Option<TcpListener>,
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

    /// How many connections each may have.
    pub(super) fn bounds(&self, settings: &ServeSettings) -> Bounds {
        let files = raise_file_limit();
        let long = settings
            .streams
            .max_streams
            .saturating_add(settings.requests.max_waiting_requests);
        let bounds = Bounds::of(Wanted {
            files,
            database: usize::try_from(settings.database.database_pool_size).unwrap_or(usize::MAX),
            receivers: MOST_CONNECTIONS,
            long,
            own_callbacks: self.callbacks.is_some(),
            own_ops: self.ops.is_some(),
        });
        if bounds.main <= long {
            tracing::warn!(
                "{files} file descriptors (ulimit -n) leave room for {} connections, and MAX_STREAMS and MAX_WAITING_REQUESTS \
                 let as many be open for long: raise the one, or lower the others",
                bounds.main
            );
        }
        bounds
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
