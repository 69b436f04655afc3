//! Audio that was received: small files in memory, large ones in unnamed temporary files.
//!
//! A temporary file loses its name as soon as it is open, so that nothing is left behind however the process ends.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    sync::Arc,
};

use bytes::Bytes;
use symphonia::core::io::MediaSource;
use uuid::Uuid;

/// Files up to this size stay in memory, which spares file descriptors when thousands are uploaded.
const MEMORY_LIMIT: usize = 256 * 1024;

/// A file that is being received.
#[derive(Debug, Default)]
pub(super) struct Spool {
    memory: Vec<u8>,
    disk: Option<File>,
    len: u64,
}

impl Spool {
    /// Appends a chunk. Blocks for the length of one write to the page cache.
    pub(super) fn push(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.len += chunk.len() as u64;
        if let Some(file) = &mut self.disk {
            return file.write_all(chunk);
        }
        self.memory.extend_from_slice(chunk);
        if self.memory.len() > MEMORY_LIMIT {
            let mut file = unnamed_file()?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.disk = Some(file);
        }
        Ok(())
    }

    /// How many bytes have come.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The received whole.
    pub(super) fn finish(self) -> Content {
        Content {
            len: self.len,
            kept: match self.disk {
                Some(file) => Kept::Disk(Arc::new(file)),
                None => Kept::Memory(self.memory.into()),
            },
        }
    }
}

fn unnamed_file() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("gladia-simulator-{}", Uuid::new_v4()));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// A received file; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Content {
    len: u64,
    kept: Kept,
}

#[derive(Clone, Debug)]
enum Kept {
    Memory(Bytes),
    Disk(Arc<File>),
}

impl Content {
    /// Its size in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// A reader from the start, independent of all others.
    pub(super) fn reader(&self) -> Reader {
        Reader {
            content: self.clone(),
            at: 0,
        }
    }
}

/// Reads a [`Content`] from any position.
#[derive(Debug)]
pub(super) struct Reader {
    content: Content,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = match &self.content.kept {
            Kept::Memory(bytes) => {
                let at = usize::try_from(self.at)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                (&bytes[at..]).read(buf)?
            }
            Kept::Disk(file) => file.read_at(buf, self.at)?,
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.content.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

impl MediaSource for Reader {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.content.len)
    }
}
