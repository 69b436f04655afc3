//! One process of the service, as far as a test can have several in its own.

use std::{net::SocketAddr, time::Duration};

use gladia_gateway::{
    app::{Gateway, Listeners},
    config::ServeSettings,
    shutdown::Shutdown,
};

/// A running gateway.
#[derive(Debug)]
pub struct Replica {
    pub address: SocketAddr,
    pub base: String,
    pub callback_address: SocketAddr,
    pub ops_address: SocketAddr,
    pub shutdown: Shutdown,
    gateway: Gateway,
}

impl Replica {
    /// Starts it on settings whose `LISTEN_ADDR` has a free port.
    pub async fn start(settings: ServeSettings) -> anyhow::Result<Self> {
        let listeners = Listeners::bind(&settings.addresses).await?;
        let address = listeners.main_addr()?;
        let callback_address = listeners.callback_addr()?;
        let ops_address = listeners.ops_addr()?;
        let shutdown = Shutdown::manual();
        let gateway = Gateway::start(settings, listeners, shutdown.clone()).await?;
        Ok(Self {
            address,
            base: format!("http://{address}"),
            callback_address,
            ops_address,
            shutdown,
            gateway,
        })
    }

    /// Ends it as SIGTERM does, or at once where the bound is zero. Whether all of it ended in time.
    pub async fn stop(&self, bound: Duration) -> bool {
        self.shutdown.soft.cancel();
        let ended = self.shutdown.drain(bound).await;
        self.gateway.pool.close().await;
        ended
    }
}
