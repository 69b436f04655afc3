//! The load balancer in front of the replicas, or of whichever Postgres takes writes: TCP, in turn, the next one where a
//! connection is refused.

use std::{
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::{sync::CancellationToken, sync::DropGuard, task::TaskTracker};

/// Where they listen; none for one that is down.
#[derive(Debug, Clone)]
pub struct Addresses(Arc<Vec<Mutex<Option<SocketAddr>>>>);

impl Addresses {
    /// For so many, all down.
    pub fn of(count: usize) -> Self {
        Self(Arc::new((0..count).map(|_| Mutex::default()).collect()))
    }

    pub fn set(&self, index: usize, address: Option<SocketAddr>) {
        *self.0[index].lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    pub fn get(&self, replica: usize) -> Option<SocketAddr> {
        let replica = &self.0[replica % self.0.len()];
        *replica.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Takes connections until it is dropped.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    /// How often connections were stranded.
    strandings: watch::Sender<u32>,
    _open: DropGuard,
}

impl Balancer {
    /// Listens on a free port.
    pub async fn start(addresses: Addresses) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let open = CancellationToken::new();
        let stopped = open.clone();
        let strandings = watch::Sender::new(0);
        let stranded = strandings.subscribe();
        tokio::spawn(async move {
            let (next, tasks) = (Arc::new(AtomicUsize::new(0)), TaskTracker::new());
            while let Some(accepted) = stopped.run_until_cancelled(listener.accept()).await {
                // Out of file descriptors, for one: the caller tries again.
                let Ok((client, _)) = accepted else { continue };
                let (addresses, next, stopped) =
                    (addresses.clone(), Arc::clone(&next), stopped.clone());
                let mut stranded = stranded.clone();
                stranded.mark_unchanged();
                tasks.spawn(async move {
                    stopped
                        .run_until_cancelled(pass(client, &addresses, &next, stranded))
                        .await;
                });
            }
        });
        Ok(Self {
            address,
            strandings,
            _open: open.drop_guard(),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leaves every connection open, with nobody at its other end any more: so it is where a host is gone without a word.
    pub fn strand(&self) {
        self.strandings.send_modify(|times| *times += 1);
    }
}

async fn pass(
    mut client: TcpStream,
    addresses: &Addresses,
    next: &AtomicUsize,
    mut stranded: watch::Receiver<u32>,
) {
    let first = next.fetch_add(1, Ordering::Relaxed);
    for offset in 0..addresses.count() {
        let Some(address) = addresses.get(first.wrapping_add(offset)) else {
            continue;
        };
        if let Ok(mut server) = TcpStream::connect(address).await {
            let _ = client.set_nodelay(true);
            let _ = server.set_nodelay(true);
            let mut passing = pin!(copy_bidirectional(&mut client, &mut server));
            tokio::select! {
                _ = &mut passing => return,
                Ok(()) = stranded.changed() => {}
            }
            // And holds both ends.
            return pending().await;
        }
    }
}
