//! The frames of a body, made where it is read; or beside that, on a thread of its own.
//!
//! To compress a large body takes as long as everything else that is done with it, so where a processor has nothing else to do
//! the body is here, and its job at its end, in two thirds of the time. Where all of them have, a second thread would only be
//! in the way: there are fewer [`Places`] for such threads than processors.

use std::{
    io::{self, Write},
    mem,
    num::NonZero,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zstd::stream::raw::{CParameter, InBuffer, Operation, OutBuffer};

/// Results are text; the lowest level is where time is best spent. Its window of half a megabyte is far below the 8 MB that
/// RFC 9659 lets an HTTP client count on.
const ZSTD_LEVEL: i32 = 1;

/// How much room the compressor gets at least.
const OUTPUT_BYTES: usize = 16 * 1024;

/// How many pieces wait for a thread that compresses, at most. Each is what is read at once, 32 KB.
const WAITING_PIECES: usize = 4;

/// Compresses, with a checksum, so that bytes which a disk has changed are told from those that came.
pub(in crate::journal) fn encoder<W: Write>(sink: W) -> io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(sink, ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

/// For how many bodies at once there may be a thread that compresses them: for one less than there are processors. Clones are
/// the same.
#[derive(Debug, Clone)]
pub struct Places(Arc<Semaphore>);

/// One of them, for as long as it is kept.
pub type Place = OwnedSemaphorePermit;

impl Places {
    /// As many as this machine has room for.
    #[must_use]
    pub fn of_machine() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        Self::of(processors - 1)
    }

    pub(super) fn of(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// One, if there is one left.
    #[must_use]
    pub fn take(&self) -> Option<Place> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// Frames, one after the other.
pub(super) enum Frames {
    Here(Packer),
    Beside {
        pieces: SyncSender<Piece>,
        thread: JoinHandle<io::Result<Packed>>,
        ended: usize,
    },
}

/// What frames have come to.
#[derive(Default)]
pub(super) struct Packed {
    pub(super) compressed: Vec<u8>,
    /// How many bytes all frames took when each of them had ended.
    pub(super) ends: Vec<usize>,
}

/// What a thread that compresses is told.
pub(super) enum Piece {
    Bytes(Vec<u8>),
    End,
}

impl Frames {
    /// Makes them where it is called.
    pub(super) fn here() -> io::Result<Self> {
        Packer::new().map(Self::Here)
    }

    /// Makes them beside that; or here, where no thread is to be had.
    pub(super) fn beside(place: Place) -> io::Result<Self> {
        let mut packer = Packer::new()?;
        let (pieces, incoming) = sync_channel(WAITING_PIECES);
        let work = move || {
            let done = packer.follow(&incoming).map(|()| packer.packed);
            drop(place);
            done
        };
        match thread::Builder::new().name("compress".into()).spawn(work) {
            Ok(thread) => Ok(Self::Beside {
                pieces,
                thread,
                ended: 0,
            }),
            Err(_) => Self::here(),
        }
    }

    /// Adds to a frame, and leaves nothing behind. The first byte behind another frame begins one.
    pub(super) fn add(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Here(packer) => {
                packer.add(bytes)?;
                bytes.clear();
                Ok(())
            }
            Self::Beside { .. } if bytes.is_empty() => Ok(()),
            Self::Beside { pieces, .. } => {
                let room = bytes.len();
                let piece = mem::replace(bytes, Vec::with_capacity(room));
                pieces.send(Piece::Bytes(piece)).map_err(|_| has_gone())
            }
        }
    }

    /// Ends a frame, which is one also where nothing was added. Which one it was, from 0.
    pub(super) fn end(&mut self) -> io::Result<usize> {
        match self {
            Self::Here(packer) => {
                packer.end()?;
                Ok(packer.packed.ends.len() - 1)
            }
            Self::Beside { pieces, ended, .. } => {
                pieces.send(Piece::End).map_err(|_| has_gone())?;
                *ended += 1;
                Ok(*ended - 1)
            }
        }
    }

    /// All of them.
    pub(super) fn finish(self) -> io::Result<Packed> {
        match self {
            Self::Here(packer) => Ok(packer.packed),
            Self::Beside { pieces, thread, .. } => {
                drop(pieces);
                thread.join().unwrap_or_else(|_| Err(has_gone()))
            }
        }
    }
}

/// Whoever compresses has failed, in a way that nobody has thought of if it does not say which.
fn has_gone() -> io::Error {
    io::Error::other("compressing failed")
}

/// Makes frames by one compressor: to make one takes longer than to compress a short body.
pub(super) struct Packer {
    compressor: zstd::stream::raw::Encoder<'static>,
    packed: Packed,
}

impl Packer {
    fn new() -> io::Result<Self> {
        let mut compressor = zstd::stream::raw::Encoder::new(ZSTD_LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self {
            compressor,
            packed: Packed::default(),
        })
    }

    /// Does as it is told until nothing more comes.
    fn follow(&mut self, pieces: &Receiver<Piece>) -> io::Result<()> {
        pieces.iter().try_for_each(|piece| match piece {
            Piece::Bytes(bytes) => self.add(&bytes),
            Piece::End => self.end(),
        })
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut input = InBuffer::around(bytes);
        while input.pos() < bytes.len() {
            self.with_room(|compressor, output| compressor.run(&mut input, output))?;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        while self.with_room(|compressor, output| compressor.finish(output, false))? > 0 {}
        self.packed.ends.push(self.packed.compressed.len());
        Ok(())
    }

    fn with_room(
        &mut self,
        run: impl FnOnce(
            &mut zstd::stream::raw::Encoder<'static>,
            &mut OutBuffer<'_, Vec<u8>>,
        ) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let compressed = &mut self.packed.compressed;
        let filled = compressed.len();
        compressed.reserve(OUTPUT_BYTES);
        let mut output = OutBuffer::around_pos(compressed, filled);
        run(&mut self.compressor, &mut output)
    }
}
