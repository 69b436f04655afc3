//! A body, read once: counted, hashed, compressed and understood while it passes by.

use std::{
    io::{self, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::domain::{
    completion::{Completion, Ending},
    ids::AttemptId,
};
use crate::gladia::callback::{self, Reading, Report, Shape};

/// Results are text; the lowest level is where time is best spent.
const ZSTD_LEVEL: i32 = 1;

/// A body as it is kept, and what it says. Only its compressed bytes are in memory.
pub struct KeptBody {
    compressed: Vec<u8>,
    body_bytes: i64,
    body_sha256: [u8; 32],
    attempt_id: Option<AttemptId>,
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
        let encoder = encoder(Vec::new())?;
        let mut tee = Tee::new(source, encoder, limit);
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
        Ok(Ok(Self {
            compressed: passed.sink.finish()?,
            body_bytes: passed.bytes,
            body_sha256: passed.sha256,
            attempt_id: reading.attempt_id,
            received_at: None,
            report: reading.report,
        }))
    }

    /// The same, of which is known when it came.
    #[must_use]
    pub fn received_at(self, received_at: Option<DateTime<Utc>>) -> Self {
        Self {
            received_at,
            ..self
        }
    }

    /// When it came, if that was before now.
    #[must_use]
    pub fn came_at(&self) -> Option<DateTime<Utc>> {
        self.received_at
    }

    /// The body, compressed with zstd.
    #[must_use]
    pub fn compressed(&self) -> &[u8] {
        &self.compressed
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
#[derive(Debug)]
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

/// Compresses, with a checksum, so that bytes which a disk has changed are told from those that came.
pub(super) fn encoder<W: Write>(sink: W) -> io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(sink, ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

/// A mistake of ours in reading must not cost the only copy of a result.
fn understand(reader: impl Read, shape: Shape) -> Reading {
    catch_unwind(AssertUnwindSafe(|| callback::read(reader, shape))).unwrap_or_else(|_| Reading {
        gladia_id: None,
        attempt_id: None,
        report: Err("reading it failed".to_owned()),
    })
}

/// Counts, hashes and passes on to a sink all that is read through it, which is no more than a limit.
struct Tee<R, W> {
    source: R,
    sink: W,
    limit: u64,
    bytes: u64,
    hash: Sha256,
    is_more: bool,
    /// Whoever reads is told of a failure and may forget it; it decides about the whole.
    failed: Option<io::Error>,
}

/// What went through.
struct Passed<W> {
    sink: W,
    bytes: i64,
    sha256: [u8; 32],
    /// Whether something is left.
    is_more: bool,
}

impl<R: Read, W: Write> Tee<R, W> {
    fn new(source: R, sink: W, limit: u64) -> Self {
        Self {
            source,
            sink,
            limit,
            bytes: 0,
            hash: Sha256::new(),
            is_more: false,
            failed: None,
        }
    }

    /// Reads what nobody has read.
    fn finish(mut self) -> io::Result<Passed<W>> {
        io::copy(&mut self, &mut io::sink())?;
        match self.failed {
            Some(error) => Err(error),
            None => Ok(Passed {
                sink: self.sink,
                bytes: i64::try_from(self.bytes).unwrap_or(i64::MAX),
                sha256: self.hash.finalize().into(),
                is_more: self.is_more,
            }),
        }
    }

    fn pass(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.limit - self.bytes).unwrap_or(usize::MAX);
        if left == 0 {
            self.is_more = self.source.read(&mut [0])? > 0;
            return Ok(0);
        }
        let wanted = buffer.len().min(left);
        let read = self.source.read(&mut buffer[..wanted])?;
        self.sink.write_all(&buffer[..read])?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

impl<R: Read, W: Write> Read for Tee<R, W> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"id":"b7","event":"transcription.success","payload":{"a":[1]}}"#;

    /// Breaks off after what it has.
    struct Broken<'a>(&'a [u8]);

    impl Read for Broken<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer) {
                Ok(0) => Err(io::ErrorKind::ConnectionReset.into()),
                read => read,
            }
        }
    }

    #[test]
    fn the_whole_body_is_kept_also_where_reading_stops_early() {
        for body in [
            BODY,
            &[b"no JSON ", BODY].concat(),
            &[BODY, b" more"].concat(),
            b"",
        ] {
            let kept = KeptBody::read(body, Shape::Callback).unwrap();
            assert_eq!(zstd::decode_all(kept.compressed()).unwrap(), body);
            assert_eq!(usize::try_from(kept.body_bytes()).unwrap(), body.len());
            assert_eq!(kept.body_sha256(), <[u8; 32]>::from(Sha256::digest(body)));
            assert_eq!(kept.report().is_ok(), body == BODY);
        }
    }

    #[test]
    fn a_body_that_breaks_off_is_none() {
        for length in [0, 10, BODY.len()] {
            let error = KeptBody::read(Broken(&BODY[..length]), Shape::Callback).err();
            assert_eq!(error.unwrap().kind(), io::ErrorKind::ConnectionReset);
        }
    }

    #[test]
    fn of_a_larger_body_the_id_is_known_where_it_was_seen() {
        let limit = BODY.len() as u64;
        assert!(
            KeptBody::read_within(BODY, Shape::Callback, limit)
                .unwrap()
                .is_ok()
        );
        for (limit, id) in [(limit - 1, Some("b7")), (4, None)] {
            let seen = KeptBody::read_within(BODY, Shape::Callback, limit)
                .unwrap()
                .err()
                .unwrap();
            assert_eq!(seen.gladia_id.as_deref(), id);
            assert_eq!(seen.seen_bytes.unsigned_abs(), limit);
            let hash = Sha256::digest(&BODY[..usize::try_from(limit).unwrap()]);
            assert_eq!(seen.seen_sha256, <[u8; 32]>::from(hash));
        }
    }
}
