//! What stands between a body's source and whoever understands it: it counts, hashes and compresses all that passes, and
//! gives the result a frame of its own.
//!
//! Whoever understands a body takes it in pieces, and knows where the result begins and ends only after it has taken the
//! piece that it does so in. So the latest piece waits, uncompressed, until the next one is asked for: by then everything
//! in it has been looked at.

use std::io::{self, Read};

use super::frames::{Frames, Packed};
use crate::{db::callbacks::ResultFrame, domain::sha256::Sha256, gladia::callback::Source};

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
    /// The last frame before the result, and the one that is the result.
    before_result: Option<usize>,
    result: Option<usize>,
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
    pub(super) fn new(source: R, limit: u64, frames: Frames) -> Self {
        Self {
            source,
            frames,
            waiting: Vec::new(),
            limit,
            bytes: 0,
            hash: Sha256::new(),
            is_more: false,
            before_result: None,
            result: None,
            failed: None,
        }
    }

    /// Reads what nobody has read.
    pub(super) fn finish(mut self) -> io::Result<Passed> {
        io::copy(&mut self, &mut io::sink())?;
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.frames.end()?;
        let Packed { compressed, ends } = self.frames.finish()?;
        let result_frame = self.before_result.zip(self.result);
        Ok(Passed {
            compressed,
            result_frame: result_frame
                .and_then(|(before, result)| ResultFrame::between(ends[before], ends[result])),
            bytes: i64::try_from(self.bytes).unwrap_or(i64::MAX),
            sha256: self.hash.finish(),
            is_more: self.is_more,
        })
    }

    fn pass(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.frames.add(&mut self.waiting)?;
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

    /// Ends a frame before this byte of the body and begins another. Which one has ended; none where the byte has gone by.
    fn cut(&mut self, at: u64) -> io::Result<Option<usize>> {
        let waiting_from = self.bytes - self.waiting.len() as u64;
        let before = at
            .checked_sub(waiting_from)
            .and_then(|before| usize::try_from(before).ok());
        let Some(before) = before.filter(|before| *before <= self.waiting.len()) else {
            return Ok(None);
        };
        let behind = self.waiting.split_off(before);
        self.frames.add(&mut self.waiting)?;
        self.waiting = behind;
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
        if self.before_result.is_none() {
            self.before_result = self.try_cut(at);
        }
    }

    fn result_ends(&mut self, at: u64) {
        if self.before_result.is_some() && self.result.is_none() {
            self.result = self.try_cut(at);
        }
    }
}
