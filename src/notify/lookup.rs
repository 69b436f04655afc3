//! Which addresses a name has.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::{IpAddr, ToSocketAddrs},
    time::Duration,
};

use futures_util::future::BoxFuture;

use crate::{
    domain::ids::TenantId,
    turns::{NoTurn, Turns},
};

/// How many names are looked up at once. The system's resolver blocks a thread for each, for half a minute where a name's
/// servers are silent; there are 512 such threads, and other work needs some.
const LOOKUPS_AT_ONCE: usize = 256;

/// How long a lookup waits for its turn. Not for long: whoever waits holds a place of another kind.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many wait at most is bounded by those places.
const MOST_WAITING: usize = usize::MAX;

/// Looks names up. Tests bring their own.
pub trait Lookup: fmt::Debug + Send + Sync {
    /// The addresses of a name, each once or more, on behalf of a tenant.
    fn look_up(
        &self,
        name: &str,
        tenant_id: TenantId,
    ) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupError>>;
}

/// Why there are no addresses.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// As many names are looked up as may be, of all tenants or of this one. It says nothing of the name.
    #[error("too many names are looked up")]
    Busy,
    /// The name has none, or nobody says which.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// Asks for the addresses of a name, and blocks until there is an answer.
pub type Ask = fn(&str) -> io::Result<Vec<IpAddr>>;

/// The system's resolver, with its hosts file and search domains.
///
/// A tenant whose names have silent servers holds up to half of what may be under way, and others find the rest free.
#[derive(Debug)]
pub struct SystemLookup {
    turns: Turns,
    ask: Ask,
    patience: Duration,
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self::new(LOOKUPS_AT_ONCE, ask_system, PATIENCE)
    }
}

impl SystemLookup {
    /// So many at once, of this resolver.
    #[must_use]
    pub fn new(at_once: usize, ask: Ask, patience: Duration) -> Self {
        Self {
            turns: Turns::new(at_once, MOST_WAITING),
            ask,
            patience,
        }
    }
}

fn ask_system(name: &str) -> io::Result<Vec<IpAddr>> {
    let addresses = (name, 0).to_socket_addrs()?;
    Ok(addresses.map(|address| address.ip()).collect())
}

impl Lookup for SystemLookup {
    fn look_up(
        &self,
        name: &str,
        tenant_id: TenantId,
    ) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupError>> {
        let (turns, name) = (self.turns.clone(), name.to_owned());
        let (ask, patience) = (self.ask, self.patience);
        Box::pin(async move {
            let turn = turns.enter(Some(tenant_id), |_| patience).await;
            let turn = turn.map_err(|NoTurn| LookupError::Busy)?;
            let looked_up = tokio::task::spawn_blocking(move || {
                // Held until the thread is free again: nobody may be waiting for it any more.
                let _turn = turn;
                ask(&name)
            });
            let looked_up = looked_up.await;
            Ok(looked_up.map_err(|error| io::Error::new(ErrorKind::Interrupted, error))??)
        })
    }
}
