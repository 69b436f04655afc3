//! Requests that were prepared beforehand, on bare connections: what is measured is whoever answers them.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::{Buf, Bytes};
use futures_util::future::try_join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The longest answer that is expected.
const ANSWER_BYTES: usize = 8 * 1024;

/// A connection.
pub struct Wire {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Wire {
    /// Opens one to an `http://` address.
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        let address = url.strip_prefix("http://").context("no http address")?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            answer: Vec::with_capacity(ANSWER_BYTES),
        })
    }

    /// Sends a part of a request.
    pub async fn send(&mut self, mut part: impl Buf) -> anyhow::Result<()> {
        Ok(self.stream.write_all_buf(&mut part).await?)
    }

    /// Reads an answer, whose status must be this one.
    pub async fn expect(&mut self, status: &str) -> anyhow::Result<()> {
        self.answer.clear();
        let head = loop {
            self.read_more().await?;
            let mut windows = self.answer.windows(4);
            if let Some(at) = windows.position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let text = std::str::from_utf8(&self.answer[..head])?.to_ascii_lowercase();
        let mut lengths = text
            .lines()
            .filter_map(|line| line.strip_prefix("content-length:"));
        let length: usize = lengths.next().context("no length")?.trim().parse()?;
        while self.answer.len() < head + length {
            self.read_more().await?;
        }
        let answer = String::from_utf8_lossy(&self.answer);
        ensure!(
            answer.get(9..12) == Some(status),
            "it was answered:\n{answer}"
        );
        Ok(())
    }

    async fn read_more(&mut self) -> anyhow::Result<()> {
        ensure!(self.answer.len() < ANSWER_BYTES, "the answer is too long");
        let read = self.stream.read_buf(&mut self.answer).await?;
        ensure!(read > 0, "the connection broke off");
        Ok(())
    }
}

/// The head of a `POST`, with what else stands in it: lines with their ends.
pub fn post_head(path: &str, content_type: &str, length: u64, lines: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n{lines}\r\n"
    )
}

/// A request in the pieces that it is made of, which others share.
pub type Request = Vec<Bytes>;

/// Sends requests, so many at once, each answered 200. How long it took.
pub async fn send_all(
    url: &str,
    requests: Vec<Request>,
    at_once: usize,
) -> anyhow::Result<Duration> {
    let wires = try_join_all((0..at_once).map(|_| Wire::open(url))).await?;
    let left = Mutex::new(requests);
    let start = Instant::now();
    try_join_all(wires.into_iter().map(|mut wire| {
        let left = &left;
        async move {
            loop {
                let Some(request) = left.lock().unwrap().pop() else {
                    return anyhow::Ok(());
                };
                for part in request {
                    wire.send(part).await?;
                }
                wire.expect("200").await?;
            }
        }
    }))
    .await?;
    Ok(start.elapsed())
}
