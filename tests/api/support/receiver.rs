//! A program of a caller's that is told of events, and answers as the test wants.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use gladia_gateway::domain::plain_json;
use hmac::{Hmac, KeyInit, Mac};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sha2::Sha256;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::eventually;

/// How a receiver answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// With this status.
    Status(u16),
    /// With this status, and how many seconds it wants to be left alone.
    RetryAfter(u16, u64),
    /// With 200, and a body that never ends.
    Endless,
    /// Once [`Receiver::release`] is called, with this status.
    Held(u16),
    /// Not at all: it breaks the connection off.
    Reset,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Listens on a free port for as long as it lives.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    received: Mutex<Vec<Received>>,
    /// The answers to the next requests; after them, always the same one.
    next: Mutex<VecDeque<Reply>>,
    always: Mutex<Reply>,
    released: watch::Sender<bool>,
    at_once: AtomicUsize,
}

impl Receiver {
    /// One that answers 200.
    pub async fn start() -> Self {
        Self::answering(Reply::Status(200)).await
    }

    /// One that always answers alike.
    pub async fn answering(always: Reply) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            next: Mutex::default(),
            always: Mutex::new(always),
            released: watch::Sender::new(false),
            at_once: AtomicUsize::new(0),
        });
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            listening,
        }
    }

    pub fn url(&self) -> String {
        self.url_of("/hook?token=secret")
    }

    pub fn url_of(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How it answers from now on.
    pub fn reply(&self, always: Reply) {
        *self.shared.always.lock().unwrap() = always;
    }

    /// How it answers the next requests.
    pub fn reply_next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.next.lock().unwrap().extend(replies);
    }

    /// Lets go of the requests that it holds, and holds none any more.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Everything that has come so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How many requests are not answered yet.
    pub fn under_way(&self) -> usize {
        self.shared.at_once.load(Ordering::SeqCst)
    }

    /// Waits until so many have come, and gives them.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        eventually(&format!("request number {count}"), async || {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.abort();
        self.release();
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&shared)));
            // One that was broken off has ended, too.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// What makes the server break a connection off.
#[derive(Debug)]
struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken off")
    }
}

impl std::error::Error for BrokenOff {}

async fn answer(
    request: hyper::Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Body>, BrokenOff> {
    let (head, body) = request.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX)
        .await
        .map_err(|_| BrokenOff)?;
    shared.at_once.fetch_add(1, Ordering::SeqCst);
    let next = shared.next.lock().unwrap().pop_front();
    let reply = next.unwrap_or_else(|| shared.always.lock().unwrap().clone());
    shared.received.lock().unwrap().push(Received {
        method: head.method,
        path: head.uri.to_string(),
        headers: head.headers,
        body,
    });
    if let Reply::Held(_) = reply {
        let mut released = shared.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
    }
    shared.at_once.fetch_sub(1, Ordering::SeqCst);
    let builder = Response::builder();
    let answer = match reply {
        Reply::Status(status) | Reply::Held(status) => builder.status(status).body("noted".into()),
        Reply::RetryAfter(status, seconds) => builder
            .status(status)
            .header("retry-after", seconds)
            .body("later".into()),
        Reply::Endless => {
            let forever = futures_util::stream::repeat_with(|| {
                Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1024]))
            });
            builder.status(200).body(Body::from_stream(forever))
        }
        Reply::Reset => return Err(BrokenOff),
    };
    Ok(answer.unwrap())
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
            .to_str()
            .unwrap()
    }

    /// `webhook-id`.
    pub fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        plain_json::from_slice(&self.body).unwrap()
    }

    /// Whether this secret has signed it, as Standard Webhooks has it.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = BASE64_STANDARD
            .decode(secret.strip_prefix("whsec_").unwrap())
            .unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        let head = format!("{}.{}.", self.id(), self.header("webhook-timestamp"));
        mac.update(head.as_bytes());
        mac.update(&self.body);
        let signature = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        self.header("webhook-signature")
            .split(' ')
            .any(|one| one == signature)
    }
}
