//! A receiver of webhooks that answers at once. It reads no more of a request than its length and what it is about, on bare
//! sockets, so that it takes as little as can be of the processors.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::timeout,
};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What stands before the id of an event's job.
const ABOUT: &[u8] = br#""transcription_id":""#;

const UUID_LENGTH: usize = 36;

pub struct Receiver {
    pub url: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    count: AtomicUsize,
    /// When the last block began to arrive.
    first_at: Mutex<Option<Instant>>,
    by_job: Mutex<HashMap<String, Instant>>,
    changed: Notify,
}

impl Receiver {
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let seen = Arc::new(Seen::default());
        let serving = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Ok(Self { url, seen })
    }

    /// Forgets what has come.
    pub fn forget(&self) {
        self.seen.count.store(0, Ordering::Relaxed);
        *self.seen.first_at.lock().unwrap() = None;
        self.seen.by_job.lock().unwrap().clear();
    }

    /// Waits until so many have come since it forgot. When the first of them came.
    pub async fn wait_for(&self, count: usize, bound: Duration) -> anyhow::Result<Instant> {
        let found = self.wait(bound, || {
            let first_at = *self.seen.first_at.lock().unwrap();
            first_at.filter(|_| self.seen.count.load(Ordering::Relaxed) >= count)
        });
        found.await.with_context(|| {
            let came = self.seen.count.load(Ordering::Relaxed);
            format!("{came} of {count} came")
        })
    }

    /// Waits for what tells of a job. When it came.
    pub async fn wait_for_job(&self, id: &str, bound: Duration) -> anyhow::Result<Instant> {
        self.wait(bound, || self.seen.by_job.lock().unwrap().get(id).copied())
            .await
    }

    async fn wait<T>(&self, bound: Duration, find: impl Fn() -> Option<T>) -> anyhow::Result<T> {
        let waiting = async {
            loop {
                let changed = self.seen.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = find() {
                    return found;
                }
                changed.await;
            }
        };
        timeout(bound, waiting)
            .await
            .with_context(|| format!("not within {bound:?}"))
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Seen>) {
    let mut read = Vec::with_capacity(16 * 1024);
    loop {
        while let Some(length) = request_length(&read) {
            if read.len() < length {
                break;
            }
            seen.note(&read[..length]);
            read.drain(..length);
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Of the head and the body, once the head is there.
fn request_length(read: &[u8]) -> Option<usize> {
    let head = find(read, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&read[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    Some(head + length.unwrap_or_default())
}

fn find(among: &[u8], what: &[u8]) -> Option<usize> {
    among.windows(what.len()).position(|part| part == what)
}

impl Seen {
    fn note(&self, request: &[u8]) {
        let now = Instant::now();
        self.first_at.lock().unwrap().get_or_insert(now);
        if let Some(at) = find(request, ABOUT) {
            let id = request.get(at + ABOUT.len()..).unwrap_or_default();
            let id = String::from_utf8_lossy(&id[..id.len().min(UUID_LENGTH)]).into_owned();
            self.by_job.lock().unwrap().entry(id).or_insert(now);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }
}
