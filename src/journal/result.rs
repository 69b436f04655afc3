//! A result, out of what is stored of the callback that brought it.

use std::{cell::RefCell, io};

use bytes::Bytes;
use zstd::{
    bulk::Decompressor,
    stream::raw::{InBuffer, Operation, OutBuffer},
};

use super::at_rest::AtRest;
use crate::{
    db::jobs::{StoredAs, StoredResult},
    gladia::callback::result_of,
};

/// A body that has more than this beside its result is none of Gladia's.
const MOST_OTHER_BYTES: usize = 64 * 1024;

/// How much of a result is unpacked at once: what takes a processor less than a tenth of a millisecond.
const PIECE_BYTES: usize = 64 * 1024;

/// A result byte for byte as it came. Large ones take milliseconds: work for a thread of its own.
///
/// # Errors
/// Where what is stored is not what this service stores.
pub fn unpacked(stored: &StoredResult) -> Result<Bytes, &'static str> {
    match &stored.zstd {
        StoredAs::Frame(frame) => decode(frame, stored.body_bytes),
        StoredAs::Within(body) => {
            let body = decode(body, stored.body_bytes)?;
            let result = result_of(&body).ok_or("not a callback with a result")?;
            Ok(body.slice_ref(result.get().as_bytes()))
        }
    }
}

/// Into a buffer of its own size, which spares the copy from a window. A part of a body is no longer than the body.
fn decode(zstd: &[u8], most_bytes: i64) -> Result<Bytes, &'static str> {
    let most_bytes = usize::try_from(most_bytes).map_err(|_| "no size")?;
    // No frame at all would unpack to nothing at all.
    if zstd.is_empty() {
        return Err("nothing");
    }
    decompress(zstd, most_bytes)
        .map(Bytes::from)
        .map_err(|_| "not zstd")
}

/// By what this thread has for it: to make one takes as long as to unpack ten kilobytes, since zstd then asks the processor what
/// it can do, for which a virtual machine has to ask its host.
fn decompress(zstd: &[u8], most_bytes: usize) -> io::Result<Vec<u8>> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let mut decompressor = match kept.take() {
            Some(kept) => kept,
            None => Decompressor::new()?,
        };
        let text = decompressor.decompress(zstd, most_bytes);
        *kept = Some(decompressor);
        text
    })
}

/// How many bytes a result unpacks to, where what was read along with it tells.
#[must_use]
pub fn unpacked_bytes(stored: &StoredResult) -> Option<usize> {
    let others = stored.other_frames.as_deref()?;
    let body_bytes = usize::try_from(stored.body_bytes).ok()?;
    let others = decompress(others, body_bytes.min(MOST_OTHER_BYTES)).ok()?;
    body_bytes.checked_sub(others.len())
}

type Unpacker = zstd::stream::raw::Decoder<'static>;

/// Unpackers that have nothing to do. Each has most of a megabyte, which takes longer to be had than to be filled.
static UNPACKERS: AtRest<Unpacker> = AtRest::of(4);

/// A result byte for byte as it came, unpacked piece by piece as it is taken: whoever takes it slowly has little of it in
/// memory.
///
/// Its last piece is there only where the whole is what was stored, so nobody takes what a disk has changed for a result.
pub struct Pieces {
    /// Until it is left to the next.
    unpacker: Option<Unpacker>,
    frame: Vec<u8>,
    /// How much of the frame is unpacked.
    done: usize,
    /// How many bytes are still to come.
    left: usize,
}

impl Pieces {
    /// Begins with a frame that unpacks to this many bytes.
    ///
    /// # Errors
    /// Where zstd cannot begin.
    pub fn of(frame: Vec<u8>, bytes: usize) -> Result<Self, &'static str> {
        let unpacker = UNPACKERS.take_or(Unpacker::new);
        Ok(Self {
            unpacker: Some(unpacker.map_err(|_| "no unpacker")?),
            frame,
            done: 0,
            left: bytes,
        })
    }

    /// How many bytes are still to come.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    fn read(&mut self) -> Result<Bytes, &'static str> {
        let bytes = self.left.min(PIECE_BYTES);
        let mut piece = Vec::with_capacity(bytes);
        let mut is_ended = self.fill(&mut piece)?;
        if piece.len() < bytes {
            return Err("shorter than its body says");
        }
        if piece.len() < self.left {
            return Ok(piece.into());
        }
        // The end is where the checksum is compared.
        let mut more = Vec::with_capacity(1);
        if !is_ended {
            is_ended = self.fill(&mut more)?;
        }
        if piece.len() > self.left || !more.is_empty() || !is_ended || self.done < self.frame.len()
        {
            return Err("longer than its body says");
        }
        Ok(piece.into())
    }

    /// Unpacks into as much room as there is, or until the end. Whether that is there.
    fn fill(&mut self, piece: &mut Vec<u8>) -> Result<bool, &'static str> {
        let unpacker = self.unpacker.as_mut().ok_or("ended")?;
        let mut input = InBuffer::around(&self.frame);
        input.set_pos(self.done);
        let mut output = OutBuffer::around(piece);
        loop {
            let before = (input.pos(), output.pos());
            let to_come = unpacker.run(&mut input, &mut output);
            let to_come = to_come.map_err(|_| "not zstd")?;
            self.done = input.pos();
            if to_come == 0 || output.pos() == output.capacity() {
                return Ok(to_come == 0);
            }
            if (input.pos(), output.pos()) == before {
                return Err("shorter than its body says");
            }
        }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if let Some(mut unpacker) = self.unpacker.take()
            // Also where a frame was begun that has no end.
            && unpacker.reinit().is_ok()
        {
            UNPACKERS.leave(unpacker);
        }
    }
}

/// An error says that what is stored is not what this service stores, or not of that length; nothing comes after it.
impl Iterator for Pieces {
    type Item = Result<Bytes, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let piece = self.read();
        self.left = match &piece {
            Ok(piece) => self.left - piece.len(),
            Err(_) => 0,
        };
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::journal::body::encoder;

    fn text() -> Vec<u8> {
        (0..40_000)
            .flat_map(|n: u32| format!("{n} ").into_bytes())
            .collect()
    }

    fn frame(text: &[u8]) -> Vec<u8> {
        let mut encoder = encoder(Vec::new()).unwrap();
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn an_unpacker_that_was_left_in_a_frame_begins_another_one() {
        let text = text();
        let whole = frame(&text);
        // One is enough, whoever else uses them.
        for _ in 0..8 {
            let mut pieces = Pieces::of(whole.clone(), text.len()).unwrap();
            pieces.next().unwrap().unwrap();
            drop(pieces);
            assert!(all(whole.clone(), text.len()) == (text.clone(), None));
        }
    }

    /// What comes of it until its end, or until it fails.
    fn all(frame: Vec<u8>, bytes: usize) -> (Vec<u8>, Option<&'static str>) {
        let mut read = Vec::new();
        for piece in Pieces::of(frame, bytes).unwrap() {
            match piece {
                Ok(piece) => read.extend_from_slice(&piece),
                Err(cause) => return (read, Some(cause)),
            }
        }
        (read, None)
    }

    #[test]
    fn what_was_used_for_a_damaged_frame_unpacks_the_next_one() {
        let text = text();
        let whole = frame(&text);
        for at in [10, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(decompress(&changed, text.len()).is_err(), "{at}");
            assert!(decompress(&whole, text.len()).unwrap() == text, "{at}");
        }
    }

    #[test]
    fn pieces_are_the_whole_whatever_its_length() {
        let text = text();
        for bytes in [1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, text.len()] {
            let text = &text[..bytes];
            assert!(all(frame(text), bytes) == (text.to_vec(), None), "{bytes}");
        }
    }

    #[test]
    fn what_was_changed_cut_or_is_of_another_length_never_comes_whole() {
        let text = text();
        let whole = frame(&text);
        for at in [10, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            let (read, cause) = all(changed, text.len());
            assert!(read.len() < text.len() && cause.is_some(), "{at}");
            // What was used for it unpacks the next one.
            assert!(all(whole.clone(), text.len()) == (text.clone(), None));
        }
        let longer = [whole.clone(), b"x".to_vec()].concat();
        let cut = whole[..whole.len() - 1].to_vec();
        for (frame, bytes) in [
            (cut, text.len()),
            (longer, text.len()),
            (whole.clone(), text.len() - 1),
            (whole, text.len() + 1),
        ] {
            let (read, cause) = all(frame, bytes);
            assert!(read.len() < bytes && cause.is_some(), "{bytes}");
        }
    }
}
