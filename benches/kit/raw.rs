//! Connections by the thousand: requests as bytes on bare sockets, so that what a connection costs is the gateway's cost.

use std::io::ErrorKind;

use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::API_KEY;

/// A connection, with what has come on it since it was last looked at.
pub struct Raw {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Raw {
    /// Connects to an `http://` address.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let address = url.strip_prefix("http://").context("no http address")?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let rest = Vec::new();
        Ok(Self { stream, rest })
    }

    /// Sends a request without a body.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<()> {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {API_KEY}\r\n\r\n"
        );
        Ok(self.stream.write_all(head.as_bytes()).await?)
    }

    /// Sends a request, reads its answer, and says the status.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        let mut buffer = [0; 4096];
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut buffer[filled..]).await?;
            ensure!(read > 0, "it ended, or its head is too long");
            filled += read;
            let Some(head) = buffer[..filled]
                .windows(4)
                .position(|end| end == b"\r\n\r\n")
            else {
                continue;
            };
            let text = std::str::from_utf8(&buffer[..head])?;
            let status = text.get(9..12).context("no status")?.parse()?;
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.context("no length")?.parse()?;
            let mut missing = (head + 4 + length).saturating_sub(filled);
            while missing > 0 {
                let most = missing.min(buffer.len());
                let read = self.stream.read(&mut buffer[..most]).await?;
                ensure!(read > 0, "it ended");
                missing -= read;
            }
            return Ok(status);
        }
    }

    /// Reads until something has come, and forgets what came up to there and with it.
    pub async fn read_past(&mut self, mark: &str) -> anyhow::Result<()> {
        loop {
            let found = self.rest.windows(mark.len());
            if found.into_iter().any(|bytes| bytes == mark.as_bytes()) {
                self.rest.clear();
                return Ok(());
            }
            let mut buffer = [0; 4096];
            let read = match self.stream.read(&mut buffer).await {
                Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                read => read,
            };
            let Ok(read) = read else {
                bail!("it ended: {}", String::from_utf8_lossy(&self.rest));
            };
            self.rest.extend_from_slice(&buffer[..read]);
        }
    }
}
