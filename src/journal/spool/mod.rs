//! Callbacks on disk: those that came while they could not be committed.
//!
//! A file a callback, in a directory that outlives the process: a line of JSON that says whose it is, then the body as zstd
//! with a checksum. It is written under another name, flushed to the disk and renamed, and the directory is flushed, before
//! Gladia is answered; so what has its final name is whole. It goes once what it holds is committed. A crash in between
//! leaves it behind, and carrying it out twice changes nothing.

mod disk;
mod file;
mod open_error;
mod stall;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, ErrorKind, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use self::{disk::Asked, file::write_file};
pub use self::{
    disk::{Kept, count_in},
    file::{FileError, SpoolHeader, Spooled, body_error, open},
    open_error::OpenError,
};
use super::body::encoder;

/// How files are called that are whole; that are being written; and that cannot be read.
const KEPT: &str = "callback";
const UNFINISHED: &str = "part";
const BROKEN: &str = "broken";

/// Whoever holds this file locked is the one process whose files these are.
const LOCK: &str = "lock";

/// How much is moved at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// A directory of callbacks. Clones are the same one.
#[derive(Clone)]
pub struct Spool(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    added: Notify,
    /// Locked from when it could be for as long as the process lives.
    lock: File,
    is_ours: AtomicBool,
    asked: Asked,
}

/// Why a body that arrives was not kept.
#[derive(Debug)]
pub enum SpoolError {
    /// It did not arrive.
    Source(io::Error),
    /// It could not be written.
    Disk(io::Error),
}

impl Spool {
    /// Opens a directory, and proves that it can be written. What a crash has left unfinished goes: it was never answered.
    ///
    /// # Errors
    /// Where it cannot be written, or what is in it belongs to somebody else.
    pub fn open(directory: PathBuf) -> Result<Self, OpenError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .and_then(|()| prove_writable(&directory))
            .map_err(OpenError::directory(&directory))?;
        let path = directory.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(OpenError::file(&path))?;
        // Else an older process has it that is about to end, for one. What it writes is its own; what it leaves is taken up.
        let is_ours = lock.try_lock().is_ok();
        let spool = Self(Arc::new(Inner {
            directory,
            added: Notify::new(),
            lock,
            is_ours: AtomicBool::new(is_ours),
            asked: Asked::default(),
        }));
        if is_ours {
            let directory = &spool.0.directory;
            let unfinished = spool.files(UNFINISHED);
            for unfinished in unfinished.map_err(OpenError::directory(directory))? {
                match fs::remove_file(&unfinished) {
                    // Whoever has made it was about to take it away itself.
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(OpenError::file(&unfinished)(error));
                    }
                    _ => {}
                }
            }
        } else {
            tracing::warn!(
                "Another process uses CALLBACK_SPOOL_DIR; each replica should have a directory of its own"
            );
        }
        Ok(spool)
    }

    /// Takes the directory over from the process that had it at the start, once that has ended: the next one is not to take what
    /// is being written here for something that a crash has left.
    pub fn take_over(&self) {
        let is_ours = &self.0.is_ours;
        if !is_ours.load(Ordering::Relaxed) && self.0.lock.try_lock().is_ok() {
            is_ours.store(true, Ordering::Relaxed);
        }
    }

    fn can_be_written(&self) -> bool {
        prove_writable(&self.0.directory).is_ok()
    }

    /// Waits until a callback is kept. One since the last wait counts.
    pub async fn added(&self) {
        self.0.added.notified().await;
    }

    /// Keeps a callback whose body is in memory, compressed. Where that fails nothing is kept.
    fn keep(&self, header: &SpoolHeader, compressed: &[u8]) -> io::Result<()> {
        self.write(&header.before(compressed), |file| {
            file.write_all(compressed)
        })
    }

    /// Keeps a callback whose body arrives. Where that fails nothing is kept.
    fn receive(&self, header: &SpoolHeader, mut body: impl Read) -> Result<(), SpoolError> {
        let mut broken_off = None;
        let written = self.write(header, |file| {
            let mut encoder = encoder(file)?;
            let mut chunk = vec![0; CHUNK_BYTES];
            loop {
                match body.read(&mut chunk) {
                    Ok(0) => return encoder.finish().map(|_| ()),
                    Ok(read) => encoder.write_all(&chunk[..read])?,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => {
                        let kind = error.kind();
                        broken_off = Some(error);
                        return Err(kind.into());
                    }
                }
            }
        });
        match (written, broken_off) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(error)) => Err(SpoolError::Source(error)),
            (Err(error), None) => Err(SpoolError::Disk(error)),
        }
    }

    fn write(
        &self,
        header: &SpoolHeader,
        body: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> io::Result<()> {
        let name = |ending| self.0.directory.join(format!("{}.{ending}", header.id));
        let (unfinished, kept) = (name(UNFINISHED), name(KEPT));
        stall::wait_in(&self.0.directory);
        let written = write_file(&unfinished, header, body)
            .inspect(|()| stall::wait_in(&self.0.directory))
            .and_then(|()| fs::rename(&unfinished, &kept))
            .and_then(|()| File::open(&self.0.directory)?.sync_all());
        if let Err(error) = written {
            // Where this fails as well, it is gone at the next start.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        metrics::counter!("gateway_callbacks_spooled_total").increment(1);
        tracing::info!(attempt.id = %header.attempt_id, "Kept a callback of attempt {} in the spool", header.attempt_id);
        self.0.added.notify_one();
        Ok(())
    }

    /// The callbacks that are kept, oldest first: ids are in the order of time.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn list(&self) -> io::Result<Vec<PathBuf>> {
        self.files(KEPT)
    }

    /// The files that could not be read.
    fn list_broken(&self) -> io::Result<Vec<PathBuf>> {
        self.files(BROKEN)
    }

    fn files(&self, ending: &str) -> io::Result<Vec<PathBuf>> {
        files_in(&self.0.directory, ending)
    }
}

fn files_in(directory: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    stall::wait_in(directory);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == ending) {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Removes a file whose callback is committed.
///
/// # Errors
/// Where it cannot be removed. One that is gone is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    stall::wait_beside(path);
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Sets a file aside that cannot be read. It may still be worth a look.
///
/// # Errors
/// Where it cannot be renamed.
pub fn set_aside(path: &Path) -> io::Result<()> {
    stall::wait_beside(path);
    fs::rename(path, path.with_added_extension(BROKEN))
}

fn prove_writable(directory: &Path) -> io::Result<()> {
    stall::wait_in(directory);
    let path = directory.join(format!("{}.{UNFINISHED}", uuid::Uuid::now_v7()));
    let probed = File::create_new(&path).and_then(|mut file| {
        file.write_all(b"x")?;
        file.sync_all()
    });
    let removed = fs::remove_file(&path);
    probed.and(removed)
}
