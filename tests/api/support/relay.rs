//! A line of TCP that can be cut, whose answers can be held back, and whose connections can lose the other end without a word.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream, tcp},
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How many connections wait to be taken.
const BACKLOG: u32 = 1024;

/// Passes connections on to its targets in turn: what a load balancer does.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    open: Mutex<CancellationToken>,
    /// Keeps the port while nobody listens there, or somebody else is given it.
    kept: Mutex<Option<TcpSocket>>,
}

#[derive(Debug)]
struct Shared {
    targets: Mutex<Vec<SocketAddr>>,
    next: AtomicUsize,
    holds: watch::Sender<bool>,
    /// The connections since the last stranding.
    passing: Mutex<Passing>,
}

/// Connections that are stranded together.
#[derive(Debug, Clone, Default)]
struct Passing {
    stranded: CancellationToken,
    /// Those that may still pass something on.
    all: TaskTracker,
}

impl Relay {
    /// Listens on a free port.
    pub fn start(targets: Vec<SocketAddr>) -> Self {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into());
        let listener = listener.listen(BACKLOG).unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::new(Shared {
                targets: Mutex::new(targets),
                next: AtomicUsize::new(0),
                holds: watch::Sender::new(false),
                passing: Mutex::default(),
            }),
            open: Mutex::new(CancellationToken::new()),
            kept: Mutex::default(),
        };
        relay.accept_on(listener);
        relay
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set_targets(&self, targets: Vec<SocketAddr>) {
        *self.shared.targets.lock().unwrap() = targets;
    }

    /// How many connections have come so far.
    pub fn connections(&self) -> usize {
        self.shared.next.load(Ordering::Relaxed)
    }

    /// Breaks every connection and refuses new ones.
    pub async fn cut(&self) {
        *self.kept.lock().unwrap() = Some(bind(self.address));
        self.open.lock().unwrap().cancel();
        // So it is once the task that listens has seen it.
        super::eventually("refused connection", async || {
            TcpStream::connect(self.address).await.err()
        })
        .await;
    }

    /// Takes connections again, on the same port.
    pub fn mend(&self) {
        let kept = self.kept.lock().unwrap().take().expect("it was cut");
        let listener = kept.listen(BACKLOG).unwrap();
        *self.open.lock().unwrap() = CancellationToken::new();
        self.accept_on(listener);
    }

    /// Lets requests through and keeps what is answered.
    pub fn hold_answers(&self) {
        self.shared.holds.send_replace(true);
    }

    /// Lets answers through, those that were kept first.
    pub fn release_answers(&self) {
        self.shared.holds.send_replace(false);
    }

    /// Leaves every connection as it is, with nobody at its other end any more; new ones are passed on. So it is where a
    /// server's host is gone, and another one has its name. From its return on nothing comes through any of them.
    pub async fn strand(&self) {
        let passing = std::mem::take(&mut *self.shared.passing.lock().unwrap());
        passing.stranded.cancel();
        passing.all.close();
        passing.all.wait().await;
    }

    fn accept_on(&self, listener: TcpListener) {
        let (shared, open) = (Arc::clone(&self.shared), self.open.lock().unwrap().clone());
        tokio::spawn(async move {
            while let Some(Ok((client, _))) = open.run_until_cancelled(listener.accept()).await {
                let (shared, open) = (Arc::clone(&shared), open.clone());
                tokio::spawn(async move {
                    open.run_until_cancelled(pass(client, &shared)).await;
                });
            }
        });
    }
}

/// Takes a port, beside whoever listens there.
fn bind(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

async fn pass(client: TcpStream, shared: &Shared) {
    let Passing { stranded, all } = shared.passing.lock().unwrap().clone();
    let may_pass = all.token();
    let targets = shared.targets.lock().unwrap().clone();
    let first = shared.next.fetch_add(1, Ordering::Relaxed);
    for offset in 0..targets.len() {
        let target = targets[(first + offset) % targets.len()];
        let Ok(server) = TcpStream::connect(target).await else {
            continue;
        };
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let (mut from_client, to_client) = client.into_split();
        let (from_server, mut to_server) = server.into_split();
        let passing = async {
            tokio::join!(
                async {
                    let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
                    let _ = to_server.shutdown().await;
                },
                answer(from_server, to_client, shared.holds.subscribe()),
            )
        };
        tokio::pin!(passing);
        tokio::select! {
            _ = &mut passing => return,
            () = stranded.cancelled() => drop(may_pass),
        }
        // And holds it open.
        return std::future::pending().await;
    }
}

async fn answer(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut holds: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read) = from.read(&mut buffer).await {
        if holds.wait_for(|holds| !holds).await.is_err()
            || read == 0
            || to.write_all(&buffer[..read]).await.is_err()
        {
            break;
        }
    }
    let _ = to.shutdown().await;
}
