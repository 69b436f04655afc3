//! One file of the spool: a line that says whose callback it is, and its body.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::stall;
use crate::{
    domain::ids::{AttemptId, CallbackId},
    journal::body::TooLarge,
};

/// What the first line says of itself.
const VERSION: u32 = 1;

/// No first line is longer.
const MAX_HEADER_BYTES: u64 = 64 * 1024;

/// How much is written at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// What a file says first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SpoolHeader {
    version: u32,
    /// Our id of the callback, which tells when it came.
    pub id: CallbackId,
    /// The attempt that the callback's URL names.
    pub attempt_id: AttemptId,
    /// POST or PUT.
    pub method: String,
    /// When the callback came.
    pub received_at: Option<DateTime<Utc>>,
    /// What was seen of a callback that is too large. No body follows then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beginning: Option<Beginning>,
    /// How long the body is as it stands here, where that was known before it was written. A body of several zstd frames
    /// that ends after one of them cannot be told from a whole one otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compressed_bytes: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Beginning {
    gladia_id: Option<String>,
    bytes: i64,
    sha256: [u8; 32],
}

/// What a file holds.
pub enum Spooled {
    /// A body.
    Body(SpoolHeader, Box<dyn Read + Send>),
    /// What was seen of one that is too large.
    Beginning(SpoolHeader, TooLarge),
}

/// Why a file gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Its content is not what was written. Reading it again would not help.
    #[error("{0}")]
    Broken(&'static str),
    /// It cannot be read now.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

impl SpoolHeader {
    /// A header of a callback that comes now, which its id tells.
    #[must_use]
    pub fn new(id: CallbackId, attempt_id: AttemptId, method: &str) -> Self {
        let received_at = id.0.get_timestamp().and_then(|timestamp| {
            let (seconds, nanoseconds) = timestamp.to_unix();
            DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
        });
        Self {
            version: VERSION,
            id,
            attempt_id,
            method: method.to_owned(),
            received_at,
            beginning: None,
            compressed_bytes: None,
        }
    }

    /// The same, before a body in memory.
    pub(super) fn before(&self, compressed: &[u8]) -> Self {
        Self {
            compressed_bytes: Some(compressed.len() as u64),
            ..self.clone()
        }
    }

    /// The same, of a callback that is too large.
    #[must_use]
    pub fn too_large(self, seen: TooLarge) -> Self {
        Self {
            beginning: Some(Beginning {
                gladia_id: seen.gladia_id,
                bytes: seen.seen_bytes,
                sha256: seen.seen_sha256,
            }),
            ..self
        }
    }
}

/// Opens a file of the spool.
///
/// # Errors
/// Where it cannot be read.
pub fn open(path: &Path) -> Result<Spooled, FileError> {
    stall::wait_beside(path);
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut file = BufReader::new(file);
    let mut line = Vec::new();
    file.by_ref()
        .take(MAX_HEADER_BYTES)
        .read_until(b'\n', &mut line)?;
    let header = serde_json::from_slice::<SpoolHeader>(&line)
        .map_err(|_| FileError::Broken("its first line is none"))?;
    if header.version != VERSION || line.last() != Some(&b'\n') {
        return Err(FileError::Broken("its first line is of another version"));
    }
    if let Some(Beginning {
        gladia_id,
        bytes,
        sha256,
    }) = &header.beginning
    {
        let seen = TooLarge {
            gladia_id: gladia_id.clone(),
            seen_bytes: *bytes,
            seen_sha256: *sha256,
            received_at: header.received_at,
        };
        return Ok(Spooled::Beginning(header, seen));
    }
    let body_bytes = bytes.saturating_sub(line.len() as u64);
    if header
        .compressed_bytes
        .is_some_and(|told| told != body_bytes)
    {
        return Err(FileError::Broken("its body is not whole"));
    }
    // A decoder takes no bytes at all for an empty body.
    if file.fill_buf()?.is_empty() {
        return Err(FileError::Broken("its body is missing"));
    }
    let body = zstd::Decoder::with_buffer(file)?;
    Ok(Spooled::Body(header, Box::new(body)))
}

/// What an error while reading a body means: the disk's have a number, the decoder's have none.
#[must_use]
pub fn body_error(error: io::Error) -> FileError {
    if error.raw_os_error().is_some() {
        FileError::Disk(error)
    } else {
        FileError::Broken("its body is damaged")
    }
}

/// Writes a file and flushes it to the disk.
pub(super) fn write_file(
    path: &Path,
    header: &SpoolHeader,
    body: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    // Transcripts are nobody else's on this machine.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let file = options.open(path)?;
    let mut writer = BufWriter::with_capacity(CHUNK_BYTES, file);
    serde_json::to_writer(&mut writer, header)?;
    writer.write_all(b"\n")?;
    body(&mut writer)?;
    let file = writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}
