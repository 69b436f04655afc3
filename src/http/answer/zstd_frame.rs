//! A stored result as a part of a larger answer, without unpacking it: the blocks of its zstd frame between others in one new
//! frame (RFC 8878).
//!
//! What stands before and after goes in as raw blocks. These change nothing for the blocks between them: their matches are
//! told by distance, and their tables begin with the first of them. One frame, because clients that read no further than the
//! first would cut short what comes as several.

use axum::body::Bytes;

const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// The most that any block holds.
const MOST_IN_BLOCK: usize = 128 * 1024;

/// The most that a decoder of HTTP answers has to remember (RFC 9659): 8 MiB.
const MOST_WINDOW_LOG: u32 = 23;

/// The least that lets a block hold the most.
const LEAST_WINDOW_LOG: u32 = 17;

const CHECKSUM_BYTES: usize = 4;

/// The frame that unpacks to what is `before`, then what `frame` unpacks to, then what is `after`. `None`: `frame` is not one
/// whole frame as they are made here.
#[must_use]
pub fn around(before: &[u8], frame: Bytes, after: &[u8]) -> Option<[Bytes; 3]> {
    let found = Found::read(&frame)?;
    // Not a copy: nobody else has it.
    let mut blocks = Vec::from(frame);
    blocks[found.last_block] &= !LAST;
    let blocks = Bytes::from(blocks).slice(found.blocks..found.end);
    let mut head = Vec::with_capacity(before.len() + 64);
    head.extend_from_slice(&MAGIC);
    // No checksum, no size, and a window of its own.
    let window = u8::try_from(found.window_log - 10).ok()? << 3;
    head.extend_from_slice(&[0, window]);
    add_raw(&mut head, before, false);
    let mut tail = Vec::with_capacity(after.len() + 8);
    add_raw(&mut tail, after, true);
    Some([head.into(), blocks, tail.into()])
}

const LAST: u8 = 1;
const RLE: usize = 1;
const COMPRESSED: usize = 2;

fn add_raw(frame: &mut Vec<u8>, bytes: &[u8], ends_frame: bool) {
    let mut parts = bytes.chunks(MOST_IN_BLOCK).peekable();
    while let Some(part) = parts.next() {
        let is_last = ends_frame && parts.peek().is_none();
        let header = (part.len() << 3) | usize::from(is_last);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(part);
    }
}

/// Where the parts of a frame are.
struct Found {
    window_log: u32,
    /// Where its blocks begin.
    blocks: usize,
    /// Where the header of the last one is.
    last_block: usize,
    /// Where they end.
    end: usize,
}

impl Found {
    fn read(frame: &[u8]) -> Option<Self> {
        let rest = frame.strip_prefix(&MAGIC)?;
        let (&descriptor, rest) = rest.split_first()?;
        let is_single_segment = descriptor & 0b10_0000 != 0;
        let has_checksum = descriptor & 0b100 != 0;
        let has_dictionary = descriptor & 0b11 != 0;
        if has_dictionary {
            return None;
        }
        let size_bytes = match descriptor >> 6 {
            0 => usize::from(is_single_segment),
            log => 1 << log,
        };
        let window_bytes = usize::from(!is_single_segment);
        let window_log = if is_single_segment {
            let mut size = [0; 8];
            size.get_mut(..size_bytes)?
                .copy_from_slice(rest.get(..size_bytes)?);
            // Two bytes count from 256 on, which the next power of two has room for.
            let size = u64::from_le_bytes(size).checked_add(256)?;
            size.checked_next_power_of_two()?.trailing_zeros()
        } else {
            let window = *rest.first()?;
            // A fraction counts as a whole.
            10 + u32::from(window >> 3) + u32::from(window & 0b111 != 0)
        };
        let blocks = MAGIC.len() + 1 + window_bytes + size_bytes;
        let mut at = blocks;
        loop {
            let header = frame.get(at..at + 3)?;
            let is_last = header[0] & LAST != 0;
            let header =
                usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
            let (kind, size) = ((header >> 1) & 0b11, header >> 3);
            let end = at + 3 + if kind == RLE { 1 } else { size };
            if kind > COMPRESSED || end > frame.len() {
                return None;
            }
            if !is_last {
                at = end;
                continue;
            }
            let whole = end + if has_checksum { CHECKSUM_BYTES } else { 0 };
            let found = Self {
                window_log: window_log.max(LEAST_WINDOW_LOG),
                blocks,
                last_block: at,
                end,
            };
            return (whole == frame.len() && window_log <= MOST_WINDOW_LOG).then_some(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// Texts that are stored in every kind of block.
    fn texts() -> Vec<Vec<u8>> {
        let words = |count: u32| {
            let words = (0..count).map(|n| {
                format!(
                    "{{\"word\":\"{}\",\"start\":{n}}}",
                    n.wrapping_mul(2_654_435_761) >> 20
                )
            });
            words.collect::<String>().into_bytes()
        };
        let noise = |count: u32| {
            let bytes = (0..count).map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]);
            bytes.collect::<Vec<u8>>()
        };
        vec![
            Vec::new(),
            b"{}".to_vec(),
            vec![b' '; 300_000],
            words(20),
            words(3_000),
            words(90_000),
            noise(400_000),
        ]
    }

    fn packed(text: &[u8], level: i32, has_checksum: bool, says_size: bool) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), level).unwrap();
        encoder.include_checksum(has_checksum).unwrap();
        if says_size {
            encoder
                .set_pledged_src_size(Some(text.len() as u64))
                .unwrap();
        }
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_put_around_a_frame_is_read_around_its_content() {
        let long = vec![b'x'; 300_000];
        for text in texts() {
            for (level, has_checksum, says_size) in [
                (1, false, false),
                (1, true, true),
                (3, true, false),
                (9, false, true),
            ] {
                let frame = Bytes::from(packed(&text, level, has_checksum, says_size));
                for before in [b"{\"result\":".as_slice(), &long, b""] {
                    let pieces = around(before, frame.clone(), b"}").unwrap().concat();
                    let expected = [before, &text, b"}"].concat();
                    // As one frame, by readers that stop where the first ends.
                    let mut read = Vec::new();
                    let mut decoder = zstd::Decoder::with_buffer(pieces.as_slice())
                        .unwrap()
                        .single_frame();
                    decoder.window_log_max(MOST_WINDOW_LOG).unwrap();
                    decoder.read_to_end(&mut read).unwrap();
                    assert!(read == expected, "level {level}, {} bytes", text.len());
                    assert_eq!(
                        zstd::bulk::decompress(&pieces, expected.len()).unwrap(),
                        expected
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_is_put_around_what_is_not_one_whole_frame() {
        let frame = packed(&vec![b'x'; 1000], 1, true, false);
        let mut cut = frame.clone();
        cut.pop();
        let mut wide = zstd::Encoder::new(Vec::new(), 1).unwrap();
        wide.window_log(MOST_WINDOW_LOG + 1).unwrap();
        wide.write_all(&vec![b'x'; 1000]).unwrap();
        for bad in [
            Vec::new(),
            b"{}".to_vec(),
            cut,
            [frame.as_slice(), &frame].concat(),
            wide.finish().unwrap(),
        ] {
            assert!(around(b"{", bad.into(), b"}").is_none());
        }
    }
}
