//! A receiver.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::AbortHandle,
};
use url::Url;

/// How a receiver answers.
#[derive(Debug, Clone)]
pub enum Says {
    /// This, and then takes the next request.
    This(Vec<u8>),
    /// This, and then hangs up.
    ThisAndBye(Vec<u8>),
    /// This, and then these bytes again and again.
    AndOn {
        first: &'static str,
        then: Vec<u8>,
        pause: Duration,
    },
    /// This, without listening first.
    Before(&'static [u8]),
    /// Nothing, ever.
    Nothing,
    /// It resets the connection.
    Reset,
}

impl Says {
    pub fn text(text: impl Into<String>) -> Self {
        Self::This(text.into().into_bytes())
    }

    /// A status without a body.
    pub fn status(status: &str, headers: &str) -> Self {
        Self::text(format!(
            "HTTP/1.1 {status}\r\ncontent-length: 0\r\n{headers}\r\n"
        ))
    }

    pub fn ok() -> Self {
        Self::text("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    }
}

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct Heard {
    pub head: String,
    pub body: Vec<u8>,
}

impl Heard {
    /// A header's values.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1);
        lines
            .filter_map(|line| line.split_once(": "))
            .filter(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }
}

#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    heard: Mutex<Vec<Heard>>,
    was_left: Notify,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    seen: Arc<Seen>,
    task: AbortHandle,
}

impl Receiver {
    pub async fn start(says: Says) -> Self {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), says).await
    }

    pub async fn start_on(address: SocketAddr, says: Says) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let accepting = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(talk(stream, says.clone(), Arc::clone(&accepting)));
            }
        });
        Self {
            address,
            seen,
            task: task.abort_handle(),
        }
    }

    pub fn url(&self) -> Url {
        self.url_by_name(&self.address.ip().to_string())
    }

    /// Where it is, for those who know it by this name.
    pub fn url_by_name(&self, name: &str) -> Url {
        let port = self.address.port();
        format!("http://{name}:{port}/hook?key=secret")
            .parse()
            .unwrap()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.seen.heard.lock().unwrap().clone()
    }

    /// Waits until the other side of a connection is gone.
    pub async fn is_left(&self) {
        let waiting = tokio::time::timeout(Duration::from_secs(20), self.seen.was_left.notified());
        waiting.await.expect("the connection is given up");
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(mut stream: TcpStream, says: Says, seen: Arc<Seen>) {
    if let Says::Before(answer) = says {
        stream.write_all(answer).await.ok();
        return;
    }
    while let Some(heard) = read_request(&mut stream).await {
        seen.heard.lock().unwrap().push(heard);
        match &says {
            Says::This(answer) => {
                if stream.write_all(answer).await.is_err() {
                    break;
                }
            }
            Says::ThisAndBye(answer) => {
                stream.write_all(answer).await.ok();
                break;
            }
            Says::AndOn { first, then, pause } => {
                let mut is_there = stream.write_all(first.as_bytes()).await.is_ok();
                while is_there {
                    is_there = stream.write_all(then).await.is_ok();
                    tokio::time::sleep(*pause).await;
                }
                break;
            }
            Says::Nothing | Says::Before(_) => {}
            Says::Reset => {
                stream.set_zero_linger().unwrap();
                break;
            }
        }
    }
    seen.was_left.notify_one();
}

/// Reads one request. `None`: nobody will send another.
async fn read_request(stream: &mut TcpStream) -> Option<Heard> {
    let mut bytes = Vec::new();
    let head_length = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = bytes.split_off(head_length);
    let mut heard = Heard {
        head: String::from_utf8(bytes).unwrap(),
        body: Vec::new(),
    };
    let length: usize = heard.headers("content-length")[0].parse().unwrap();
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    heard.body = body;
    Some(heard)
}
