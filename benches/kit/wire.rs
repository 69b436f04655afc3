//! Requests as bytes on bare sockets, by the thousand where need be: what is measured is whoever answers them.

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

use super::API_KEY;

/// Room for the answers that are expected.
const ANSWER_BYTES: usize = 4 * 1024;

/// A connection, with what has come on it since it was last looked at.
pub struct Wire {
    stream: TcpStream,
    come: Vec<u8>,
}

impl Wire {
    /// Opens one to an `http://` address.
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        let address = url.strip_prefix("http://").context("no http address")?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let come = Vec::with_capacity(ANSWER_BYTES);
        Ok(Self { stream, come })
    }

    /// Sends a request or a part of one.
    pub async fn send(&mut self, mut part: impl Buf) -> anyhow::Result<()> {
        Ok(self.stream.write_all_buf(&mut part).await?)
    }

    /// Sends a request without a body.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<()> {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {API_KEY}\r\n\r\n"
        );
        self.send(head.as_bytes()).await
    }

    /// Reads an answer, whose status must be this one.
    pub async fn expect(&mut self, status: u16) -> anyhow::Result<()> {
        let answered = self.status().await?;
        ensure!(
            answered == status,
            "it was answered:\n{}",
            String::from_utf8_lossy(&self.come)
        );
        Ok(())
    }

    /// Reads an answer, and says its status.
    pub async fn status(&mut self) -> anyhow::Result<u16> {
        self.come.clear();
        let head = self.read_to("\r\n\r\n").await?;
        let text = std::str::from_utf8(&self.come[..head])?;
        let status = text.get(9..12).context("no status")?.parse()?;
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("no length")?.parse()?;
        while self.come.len() < head + length {
            self.read_more().await?;
        }
        Ok(status)
    }

    /// Reads until something has come, and forgets what came up to there and with it.
    pub async fn read_past(&mut self, mark: &str) -> anyhow::Result<()> {
        self.read_to(mark).await?;
        self.come.clear();
        Ok(())
    }

    /// Reads until something has come, and says where it ends.
    async fn read_to(&mut self, mark: &str) -> anyhow::Result<usize> {
        loop {
            let mut windows = self.come.windows(mark.len());
            if let Some(at) = windows.position(|bytes| bytes == mark.as_bytes()) {
                return Ok(at + mark.len());
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.come).await?;
        ensure!(
            read > 0,
            "it ended:\n{}",
            String::from_utf8_lossy(&self.come)
        );
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
                wire.expect(200).await?;
            }
        }
    }))
    .await?;
    Ok(start.elapsed())
}
