//! A body, read once: counted, hashed, compressed and understood while it passes by.
//!
//! It is kept as zstd frames, which together unpack to the body byte for byte. Of a success there are three: what stands
//! before the result object, the object, and what stands behind it. So a result is served without the rest being read, and
//! as it is stored to whoever takes zstd. Whatever goes wrong in finding it costs that at most, and never the body: then
//! it is looked for again whenever it is read.

pub mod frames;
mod tee;
#[cfg(test)]
mod tests;

use std::{
    io::{self, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    time::SystemTime,
};

use chrono::{DateTime, Utc};

pub(super) use self::frames::encoder;
use self::{
    frames::{CompressorPlace, Frames},
    tee::Tee,
};
use crate::{
    db::callbacks::{CompressedBody, ResultFrame},
    domain::{
        completion::{Completion, Ending},
        ids::AttemptId,
    },
    gladia::callback::{self, Reading, Report, Shape, Source},
    trace,
};

/// A body as it is kept, and what it says. Only its compressed bytes are in memory.
pub struct KeptBody {
    compressed: Vec<u8>,
    result_frame: Option<ResultFrame>,
    body_bytes: i64,
    body_sha256: [u8; 32],
    attempt_id: Option<AttemptId>,
    read_since: SystemTime,
    received_at: Option<DateTime<Utc>>,
    report: Result<Report, String>,
}

impl KeptBody {
    /// Reads a body to its end, whatever it says. It takes time in proportion to the body's size, and waits for its source:
    /// work for a thread of its own.
    ///
    /// # Errors
    /// Where the source breaks off. Nothing is known of the body then.
    pub fn read(source: impl Read, shape: Shape) -> io::Result<Self> {
        match Self::read_within(source, shape, u64::MAX)? {
            Ok(body) => Ok(body),
            Err(_) => Err(io::ErrorKind::FileTooLarge.into()),
        }
    }

    /// The same for a body that is read no further than `limit` bytes.
    ///
    /// # Errors
    /// Where the source breaks off; and, within, what was seen of a body that is larger.
    pub fn read_within(
        source: impl Read,
        shape: Shape,
        limit: u64,
    ) -> io::Result<Result<Self, TooLarge>> {
        Self::read_into(source, shape, limit, Frames::here()?)
    }

    /// The same for a body that may be large, compressed beside that where there is a place for it.
    ///
    /// # Errors
    /// As [`Self::read_within`].
    pub fn read_large(
        source: impl Read,
        shape: Shape,
        limit: u64,
        place: Option<CompressorPlace>,
    ) -> io::Result<Result<Self, TooLarge>> {
        let frames = place.map_or_else(Frames::here, Frames::beside)?;
        Self::read_into(source, shape, limit, frames)
    }

    fn read_into(
        source: impl Read,
        shape: Shape,
        limit: u64,
        frames: Frames,
    ) -> io::Result<Result<Self, TooLarge>> {
        let read_since = trace::now();
        let mut tee = Tee::new(source, limit, frames);
        let reading = understand(&mut tee, shape);
        let passed = tee.finish()?;
        if passed.is_more {
            return Ok(Err(TooLarge {
                gladia_id: reading.gladia_id,
                seen_bytes: passed.bytes,
                seen_sha256: passed.sha256,
                received_at: None,
            }));
        }
        let mut body = Self {
            compressed: passed.compressed,
            result_frame: None,
            body_bytes: passed.bytes,
            body_sha256: passed.sha256,
            attempt_id: reading.attempt_id,
            read_since,
            received_at: None,
            report: reading.report,
        };
        // What looked like a result in a body that cannot be understood is none.
        if body.success().is_some() {
            body.result_frame = passed.result_frame;
        }
        Ok(Ok(body))
    }

    /// The same, of which is known when it came.
    #[must_use]
    pub fn with_received_at(self, received_at: Option<DateTime<Utc>>) -> Self {
        Self {
            received_at,
            ..self
        }
    }

    /// The same, which began to come earlier than it was read.
    #[must_use]
    pub fn with_read_since(self, read_since: SystemTime) -> Self {
        Self { read_since, ..self }
    }

    /// When it came, if that was before now.
    #[must_use]
    pub fn received_at(&self) -> Option<DateTime<Utc>> {
        self.received_at
    }

    /// When it began to come, by the clock of the process.
    #[must_use]
    pub fn arrived_at(&self) -> SystemTime {
        self.received_at.map_or(self.read_since, Into::into)
    }

    /// The body, compressed.
    #[must_use]
    pub fn compressed(&self) -> CompressedBody<'_> {
        CompressedBody {
            zstd: &self.compressed,
            result_frame: self.result_frame,
        }
    }

    /// Its size before that.
    #[must_use]
    pub fn body_bytes(&self) -> i64 {
        self.body_bytes
    }

    /// SHA-256 of it as it came.
    #[must_use]
    pub fn body_sha256(&self) -> [u8; 32] {
        self.body_sha256
    }

    /// The attempt that sent the job, where its metadata name one.
    #[must_use]
    pub fn attempt_id(&self) -> Option<AttemptId> {
        self.attempt_id
    }

    /// The success that it tells of, if it does.
    #[must_use]
    pub fn success(&self) -> Option<&Completion> {
        match &self.report {
            Ok(Report::Ended(completion)) => {
                matches!(completion.ending, Ending::Success { .. }).then_some(completion)
            }
            _ => None,
        }
    }

    /// What it says; or why that cannot be understood, without any of its content.
    ///
    /// # Errors
    /// The latter.
    pub fn report(&self) -> Result<&Report, &str> {
        self.report.as_ref().map_err(String::as_str)
    }
}

/// What was seen of a body that is larger than what is read.
#[derive(Debug, Clone)]
pub struct TooLarge {
    /// Gladia's id of the job, where it stands in what was seen.
    pub gladia_id: Option<String>,
    /// How much that was.
    pub seen_bytes: i64,
    /// SHA-256 of it.
    pub seen_sha256: [u8; 32],
    /// When it came, if that was before now.
    pub received_at: Option<DateTime<Utc>>,
}

/// A mistake of ours in reading must not cost the only copy of a result.
fn understand(source: impl Source, shape: Shape) -> Reading {
    catch_unwind(AssertUnwindSafe(|| callback::read(source, shape))).unwrap_or_else(|_| Reading {
        gladia_id: None,
        attempt_id: None,
        report: Err("reading it failed".to_owned()),
    })
}
