//! Passing over what is in sight.
//!
//! A transcript is millions of short strings and numbers: a step for each of them, with a look whether more has to be read, takes
//! longer than they do. So whatever stands in memory goes by at once, as far as it is of the plainest kind, and [`super::skip`]
//! looks at the rest.

use super::skip::MAX_NESTING;

/// What comes next where values are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A value; in an object its name has gone by.
    Value,
    /// What stands behind a value.
    Behind,
}

/// Passes over values as almost all of a transcript is: without escapes, and with their ends in sight. Tells how many bytes it
/// has passed; of what stands behind those nothing is known.
pub(super) fn pass_plain(bytes: &[u8], open: &mut Vec<bool>, next: &mut Next) -> usize {
    let mut at = 0;
    loop {
        let passed = match *next {
            Next::Value => plain_value(bytes, at, open, next),
            // The outermost value has ended, and what follows is no part of it.
            Next::Behind if open.is_empty() => return at,
            Next::Behind => plain_behind(bytes, at, open, next),
        };
        // Gladia's JSON has no whitespace, so it is looked for last.
        match passed.or_else(|| behind_whitespace(bytes, at)) {
            Some(end) => at = end,
            None => return at,
        }
    }
}

#[inline]
fn plain_value(bytes: &[u8], at: usize, open: &mut Vec<bool>, next: &mut Next) -> Option<usize> {
    let end = match bytes.get(at)? {
        b'"' => string_end(bytes, at)?,
        b'-' | b'0'..=b'9' => at + number_length(&bytes[at..])?,
        b'{' if open.len() < MAX_NESTING => {
            let end = name_end(bytes, at + 1)?;
            open.push(true);
            return Some(end);
        }
        b'[' if open.len() < MAX_NESTING && bytes[token_at(bytes, at + 1)?] != b']' => {
            open.push(false);
            return Some(at + 1);
        }
        _ => return None,
    };
    *next = Next::Behind;
    Some(end)
}

#[inline]
fn plain_behind(bytes: &[u8], at: usize, open: &mut Vec<bool>, next: &mut Next) -> Option<usize> {
    let is_object = *open.last()?;
    match (bytes.get(at)?, is_object) {
        (b',', true) => {
            let end = name_end(bytes, at + 1)?;
            *next = Next::Value;
            Some(end)
        }
        (b',', false) => {
            *next = Next::Value;
            Some(at + 1)
        }
        (b'}', true) | (b']', false) => {
            open.pop();
            Some(at + 1)
        }
        _ => None,
    }
}

/// Behind the colon of the name that comes next.
#[inline]
fn name_end(bytes: &[u8], at: usize) -> Option<usize> {
    let at = token_at(bytes, at)?;
    if bytes[at] != b'"' {
        return None;
    }
    let at = token_at(bytes, string_end(bytes, at)?)?;
    (bytes[at] == b':').then_some(at + 1)
}

/// Where the first byte behind whitespace stands, if that is in sight.
#[inline]
fn token_at(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b' ' | b'\n' | b'\r' | b'\t' => behind_whitespace(bytes, at),
        _ => Some(at),
    }
}

/// Where whitespace ends that stands here, if it does so in sight.
fn behind_whitespace(bytes: &[u8], at: usize) -> Option<usize> {
    let is_other = |byte: &u8| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    let length = bytes.get(at..)?.iter().position(is_other)?;
    (length > 0).then_some(at + length)
}

/// Behind a string that begins here.
#[inline]
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let content = &bytes[at + 1..];
    let length = plain_length(content);
    (content.get(length) == Some(&b'"')).then_some(at + length + 2)
}

/// A byte in each of eight.
const fn eight(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The highest bit of every byte that is zero, and perhaps of some behind the first such byte.
const fn zeros(bytes: u64) -> u64 {
    bytes.wrapping_sub(eight(1)) & !bytes & eight(0x80)
}

/// How many bytes stand before the first one that ends a string, begins an escape, or is none of a string's. Eight are looked
/// at at once: transcripts are short strings and little else.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let (eights, rest) = bytes.as_chunks();
    for (nth, eight_bytes) in eights.iter().enumerate() {
        let word = u64::from_le_bytes(*eight_bytes);
        let is_control = word.wrapping_sub(eight(0x20)) & !word & eight(0x80);
        let found = is_control | zeros(word ^ eight(b'"')) | zeros(word ^ eight(b'\\'));
        if found != 0 {
            return nth * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | ..=0x1f);
    let before = rest.iter().position(ends).unwrap_or(rest.len());
    bytes.len() - rest.len() + before
}

/// How long the number is that stands at the beginning, where its end can be seen and it has no exponent, as almost all.
fn number_length(bytes: &[u8]) -> Option<usize> {
    let start = usize::from(bytes.first() == Some(&b'-'));
    let mut end = digits_end(bytes, start)?;
    if bytes[start] == b'0' && end > start + 1 {
        return None;
    }
    if bytes[end] == b'.' {
        end = digits_end(bytes, end + 1)?;
    }
    (!matches!(bytes[end], b'e' | b'E')).then_some(end)
}

/// Behind one digit or more that stand here, where that can be seen.
#[inline]
fn digits_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(eight_bytes) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*eight_bytes) ^ eight(b'0');
        // The highest bit of every byte that is more than nine.
        let others = (((word & eight(0x7f)) + eight(0x76)) | word) & eight(0x80);
        if others != 0 {
            at += others.trailing_zeros() as usize / 8;
            return (at > from).then_some(at);
        }
        at += 8;
    }
    at += bytes[at..].iter().position(|byte| !byte.is_ascii_digit())?;
    (at > from).then_some(at)
}
