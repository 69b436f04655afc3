//! The frames of a body, made where it is read; or beside that, on a thread of its own.
//!
//! Compressing a large body takes longer than all else that is done with it while it comes. Where a processor is free, a thread of
//! its own ends the job sooner; where none is, it would only be in the way. So there are fewer [`CompressorPlaces`] than
//! processors. A sender that is slow keeps its place; meanwhile others compress where they read.

use std::{
    io::{self, Write},
    mem,
    num::NonZero,
    panic::resume_unwind,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zstd::stream::raw::{CParameter, InBuffer, Operation, OutBuffer};

use crate::journal::at_rest::AtRest;

/// Results are text; the lowest level is where time is best spent. Its window of half a megabyte is far below the 8 MB that
/// RFC 9659 lets an HTTP client count on.
const ZSTD_LEVEL: i32 = 1;

/// How much room the compressor gets at least.
const OUTPUT_BYTES: usize = 16 * 1024;

/// How many orders wait for a thread that compresses, at most: pieces of what is read at once, no more than 32 KB each.
const WAITING_ORDERS: usize = 4;

/// Compresses, with a checksum, so that bytes which a disk has changed are told from those that came.
pub(in crate::journal) fn encoder<W: Write>(sink: W) -> io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(sink, ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

/// For how many bodies at once there may be a thread that compresses them: for one less than there are processors. Clones are
/// the same.
#[derive(Debug, Clone)]
pub struct CompressorPlaces(Arc<Semaphore>);

/// One of them, for as long as it is kept.
pub type CompressorPlace = OwnedSemaphorePermit;

impl CompressorPlaces {
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
    pub fn take(&self) -> Option<CompressorPlace> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// Frames, one after the other.
pub(super) enum Frames {
    Here(Packer),
    Beside {
        orders: SyncSender<Order>,
        thread: JoinHandle<io::Result<Packed>>,
        /// How many frames it was told to end.
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
pub(super) enum Order {
    Add(Vec<u8>),
    End,
}

impl Frames {
    /// Makes them where it is called.
    pub(super) fn here() -> io::Result<Self> {
        Packer::new().map(Self::Here)
    }

    /// Makes them beside that; or here, where no thread is to be had.
    pub(super) fn beside(place: CompressorPlace) -> io::Result<Self> {
        let mut packer = Packer::new()?;
        let (orders, incoming) = sync_channel(WAITING_ORDERS);
        let work = move || {
            let done = packer.follow(&incoming).map(|()| packer.finish());
            drop(place);
            done
        };
        match thread::Builder::new().name("compress".into()).spawn(work) {
            Ok(thread) => Ok(Self::Beside {
                orders,
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
            Self::Beside { orders, .. } => {
                let room = bytes.len();
                let piece = mem::replace(bytes, Vec::with_capacity(room));
                // Where the thread has failed, the end says why.
                let _ = orders.send(Order::Add(piece));
                Ok(())
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
            Self::Beside { orders, ended, .. } => {
                let _ = orders.send(Order::End);
                *ended += 1;
                Ok(*ended - 1)
            }
        }
    }

    /// All of them.
    pub(super) fn finish(self) -> io::Result<Packed> {
        match self {
            Self::Here(packer) => Ok(packer.finish()),
            Self::Beside { orders, thread, .. } => {
                drop(orders);
                thread.join().unwrap_or_else(|panic| resume_unwind(panic))
            }
        }
    }
}

type Compressor = zstd::stream::raw::Encoder<'static>;

/// Compressors that have nothing to do. Each has a good megabyte.
static COMPRESSORS: AtRest<Compressor> = AtRest::of(4);

/// Makes frames by one compressor, and leaves that to the next body: to make one takes longer than to compress a short body.
pub(super) struct Packer {
    compressor: Compressor,
    packed: Packed,
}

impl Packer {
    fn new() -> io::Result<Self> {
        Ok(Self {
            compressor: COMPRESSORS.take_or(compressor)?,
            packed: Packed::default(),
        })
    }

    fn finish(self) -> Packed {
        let mut compressor = self.compressor;
        // Also where a frame was begun that has no end.
        if compressor.reinit().is_ok() {
            COMPRESSORS.leave(compressor);
        }
        self.packed
    }

    /// Does as it is told until nothing more comes.
    fn follow(&mut self, orders: &Receiver<Order>) -> io::Result<()> {
        orders.iter().try_for_each(|order| match order {
            Order::Add(bytes) => self.add(&bytes),
            Order::End => self.end(),
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
        run: impl FnOnce(&mut Compressor, &mut OutBuffer<'_, Vec<u8>>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let compressed = &mut self.packed.compressed;
        let filled = compressed.len();
        compressed.reserve(OUTPUT_BYTES);
        let mut output = OutBuffer::around_pos(compressed, filled);
        run(&mut self.compressor, &mut output)
    }
}

fn compressor() -> io::Result<Compressor> {
    let mut compressor = Compressor::new(ZSTD_LEVEL)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    Ok(compressor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressor_that_was_left_in_a_frame_begins_another_one() {
        let frame_of = |text: &[u8]| {
            let mut packer = Packer::new().unwrap();
            packer.add(text).unwrap();
            packer.end().unwrap();
            packer.finish().compressed
        };
        // One is enough, whoever else uses them.
        let expected = frame_of(b"expected");
        for _ in 0..8 {
            let mut packer = Packer::new().unwrap();
            packer.add(b"left behind").unwrap();
            drop(packer.finish());
            assert_eq!(frame_of(b"expected"), expected);
        }
    }
}
