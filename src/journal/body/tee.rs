//! What stands between a body's source and whoever understands it: it counts, hashes and compresses all that passes, and
//! gives the result a frame of its own.
//!
//! Whoever understands a body takes it in pieces, and knows where the result begins and ends only after it has taken the
//! piece that it does so in. So the latest piece waits, uncompressed, until the next one is asked for: by then everything
//! in it has been looked at.

use std::io::{self, Read, Write};

use zstd::stream::raw::{CParameter, InBuffer, Operation, OutBuffer};

use crate::{db::callbacks::ResultFrame, domain::sha256::Sha256, gladia::callback::Source};

/// Results are text; the lowest level is where time is best spent. Its window of half a megabyte is far below the 8 MB that
/// RFC 9659 lets an HTTP client count on.
const ZSTD_LEVEL: i32 = 1;

/// Compresses, with a checksum, so that bytes which a disk has changed are told from those that came.
pub(in crate::journal) fn encoder<W: Write>(sink: W) -> io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(sink, ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

/// How much room the compressor gets at least.
const OUTPUT_BYTES: usize = 16 * 1024;

/// Frames, one after the other, by one compressor: to make one takes longer than to compress a short body.
struct Frames {
    compressor: zstd::stream::raw::Encoder<'static>,
    compressed: Vec<u8>,
}

impl Frames {
    fn new() -> io::Result<Self> {
        let mut compressor = zstd::stream::raw::Encoder::new(ZSTD_LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self {
            compressor,
            compressed: Vec::new(),
        })
    }

    /// Adds to a frame. The first byte behind another one begins it.
    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut input = InBuffer::around(bytes);
        while input.pos() < bytes.len() {
            self.with_room(|compressor, output| compressor.run(&mut input, output))?;
        }
        Ok(())
    }

    /// Ends a frame, which is one also where nothing was added. Tells how many bytes all of them take.
    fn end(&mut self) -> io::Result<usize> {
        while self.with_room(|compressor, output| compressor.finish(output, false))? > 0 {}
        Ok(self.compressed.len())
    }

    fn with_room(
        &mut self,
        run: impl FnOnce(
            &mut zstd::stream::raw::Encoder<'static>,
            &mut OutBuffer<'_, Vec<u8>>,
        ) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let filled = self.compressed.len();
        self.compressed.reserve(OUTPUT_BYTES);
        let mut output = OutBuffer::around_pos(&mut self.compressed, filled);
        run(&mut self.compressor, &mut output)
    }
}

/// A source of which everything that is read is kept, up to a limit.
pub(super) struct Tee<R> {
    source: R,
    frames: Frames,
    /// The piece that was read last and is not compressed yet.
    waiting: Vec<u8>,
    limit: u64,
    bytes: u64,
    hash: Sha256,
    is_more: bool,
    /// How many bytes the frames before the result have.
    result_start: Option<usize>,
    result_frame: Option<ResultFrame>,
    /// Whoever reads is told of a failure and may forget it; it decides about the whole.
    failed: Option<io::Error>,
}

/// What went through.
pub(super) struct Passed {
    pub(super) compressed: Vec<u8>,
    /// What was said to be the result.
    pub(super) result_frame: Option<ResultFrame>,
    pub(super) bytes: i64,
    pub(super) sha256: [u8; 32],
    /// Whether something is left.
    pub(super) is_more: bool,
}

impl<R: Read> Tee<R> {
    pub(super) fn new(source: R, limit: u64) -> io::Result<Self> {
        Ok(Self {
            source,
            frames: Frames::new()?,
            waiting: Vec::new(),
            limit,
            bytes: 0,
            hash: Sha256::new(),
            is_more: false,
            result_start: None,
            result_frame: None,
            failed: None,
        })
    }

    /// Reads what nobody has read.
    pub(super) fn finish(mut self) -> io::Result<Passed> {
        io::copy(&mut self, &mut io::sink())?;
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.frames.end()?;
        Ok(Passed {
            compressed: self.frames.compressed,
            result_frame: self.result_frame,
            bytes: i64::try_from(self.bytes).unwrap_or(i64::MAX),
            sha256: self.hash.finish(),
            is_more: self.is_more,
        })
    }

    fn pass(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.frames.add(&self.waiting)?;
        self.waiting.clear();
        let left = usize::try_from(self.limit - self.bytes).unwrap_or(usize::MAX);
        if left == 0 {
            self.is_more = self.source.read(&mut [0])? > 0;
            return Ok(0);
        }
        let wanted = buffer.len().min(left);
        let read = self.source.read(&mut buffer[..wanted])?;
        self.waiting.extend_from_slice(&buffer[..read]);
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }

    /// Ends a frame before this byte of the body and begins another. Tells how many bytes the frames that have ended take;
    /// nothing where the byte has gone by.
    fn cut(&mut self, at: u64) -> io::Result<Option<usize>> {
        let waiting_from = self.bytes - self.waiting.len() as u64;
        let before = at
            .checked_sub(waiting_from)
            .and_then(|before| usize::try_from(before).ok());
        let Some(before) = before.filter(|before| *before <= self.waiting.len()) else {
            return Ok(None);
        };
        self.frames.add(&self.waiting[..before])?;
        self.waiting.drain(..before);
        self.frames.end().map(Some)
    }

    /// The same, where whoever reads is not to be troubled with a failure.
    fn try_cut(&mut self, at: u64) -> Option<usize> {
        if self.failed.is_some() {
            return None;
        }
        self.cut(at).unwrap_or_else(|error| {
            self.failed = Some(error);
            None
        })
    }
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_more || self.failed.is_some() {
            return Ok(0);
        }
        let passed = self.pass(buffer);
        if let Err(error) = &passed
            && error.kind() != io::ErrorKind::Interrupted
        {
            let kind = error.kind();
            self.failed = passed.err();
            return Err(kind.into());
        }
        passed
    }
}

/// One result has a frame, the first: a body with two of them is not understood.
impl<R: Read> Source for &mut Tee<R> {
    fn result_begins(&mut self, at: u64) {
        if self.result_start.is_none() {
            self.result_start = self.try_cut(at);
        }
    }

    fn result_ends(&mut self, at: u64) {
        if let (Some(start), None) = (self.result_start, self.result_frame) {
            let end = self.try_cut(at);
            self.result_frame = end.and_then(|end| ResultFrame::between(start, end));
        }
    }
}
