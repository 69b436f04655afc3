//! Which addresses a name has.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::{IpAddr, ToSocketAddrs},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

/// How many names are looked up at once. The system's resolver blocks a thread for each, for half a minute where a name's
/// servers are silent; there are 512 such threads, and other work needs some.
const LOOKUPS_AT_ONCE: usize = 256;

/// Looks names up. Tests bring their own.
pub trait Lookup: fmt::Debug + Send + Sync {
    /// The addresses of a name, each once or more.
    fn look_up(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver, with its hosts file and search domains.
#[derive(Debug)]
pub struct SystemLookup {
    permits: Arc<Semaphore>,
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(LOOKUPS_AT_ONCE)),
        }
    }
}

impl Lookup for SystemLookup {
    fn look_up(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let (permits, name) = (Arc::clone(&self.permits), name.to_owned());
        Box::pin(async move {
            let permit = permits.acquire_owned().await;
            let permit = permit.map_err(|error| io::Error::new(ErrorKind::Interrupted, error))?;
            let looked_up = tokio::task::spawn_blocking(move || {
                // Held until the thread is free again: nobody may be waiting for it any more.
                let _permit = permit;
                let addresses = (name.as_str(), 0).to_socket_addrs()?;
                Ok(addresses.map(|address| address.ip()).collect())
            });
            looked_up.await?
        })
    }
}
