//! Passing over values, and making sure of them.

use std::io::Read;

use super::{JsonError, JsonReader, Kind, Step};

/// How deep what is passed over may be nested. Each level takes a byte.
const MAX_NESTING: usize = 1_000_000;

impl<R: Read> JsonReader<R> {
    /// Passes over a value.
    ///
    /// # Errors
    /// Where it is no JSON.
    pub fn skip(&mut self) -> Step {
        // What is open around the value that comes next: `true` for an object.
        let mut open: Vec<bool> = Vec::new();
        loop {
            let kind = self.kind()?;
            match kind {
                Kind::Object | Kind::Array => {
                    let is_object = kind == Kind::Object;
                    self.at += 1;
                    if self.token()? == if is_object { b'}' } else { b']' } {
                        self.at += 1;
                    } else if open.len() == MAX_NESTING {
                        return Err(JsonError::TooDeep(self.offset()));
                    } else {
                        open.push(is_object);
                        if is_object {
                            self.skip_name()?;
                        }
                        continue;
                    }
                }
                Kind::String => self.skip_string()?,
                Kind::Number => self.skip_number()?,
                Kind::True => self.skip_word(b"true")?,
                Kind::False => self.skip_word(b"false")?,
                Kind::Null => self.skip_word(b"null")?,
            }
            // A value has ended, and with it perhaps what is around it.
            loop {
                let Some(&is_object) = open.last() else {
                    return Ok(());
                };
                match (self.token()?, is_object) {
                    (b',', _) => {
                        self.at += 1;
                        if is_object {
                            self.skip_name()?;
                        }
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.at += 1;
                        open.pop();
                    }
                    _ => return Err(self.malformed()),
                }
            }
        }
    }

    fn skip_name(&mut self) -> Step {
        if self.token()? != b'"' {
            return Err(self.malformed());
        }
        self.skip_string()?;
        self.colon()
    }

    pub(super) fn colon(&mut self) -> Step {
        self.token()?;
        self.take(b':')
    }

    fn skip_string(&mut self) -> Step {
        self.take(b'"')?;
        loop {
            let rest = self.rest();
            let plain = plain_length(rest);
            let ends = rest.get(plain) == Some(&b'"');
            self.at += plain + usize::from(ends);
            if ends {
                return Ok(());
            }
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        for _ in 0..4 {
                            if !self.next()?.is_ascii_hexdigit() {
                                return Err(self.malformed());
                            }
                        }
                    }
                    _ => return Err(self.malformed()),
                },
                ..=0x1f => return Err(self.malformed()),
                // The string goes on behind what had been read.
                _ => {}
            }
        }
    }

    fn skip_number(&mut self) -> Step {
        if let Some(length) = number_length(self.rest()) {
            self.at += length;
            return Ok(());
        }
        if self.peek()? == Some(b'-') {
            self.at += 1;
        }
        match self.next()? {
            b'0' if matches!(self.peek()?, Some(b'0'..=b'9')) => return Err(self.malformed()),
            b'0' => {}
            b'1'..=b'9' => self.skip_digits()?,
            _ => return Err(self.malformed()),
        }
        if self.peek()? == Some(b'.') {
            self.at += 1;
            self.first_digit()?;
            self.skip_digits()?;
        }
        if matches!(self.peek()?, Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek()?, Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.first_digit()?;
            self.skip_digits()?;
        }
        Ok(())
    }

    fn first_digit(&mut self) -> Step {
        match self.next()? {
            b'0'..=b'9' => Ok(()),
            _ => Err(self.malformed()),
        }
    }

    fn skip_digits(&mut self) -> Step {
        while matches!(self.peek()?, Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn skip_word(&mut self, word: &[u8]) -> Step {
        word.iter().try_for_each(|letter| self.take(*letter))
    }
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
fn plain_length(bytes: &[u8]) -> usize {
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
    let digits = |from: usize| {
        let rest = bytes.get(from..)?;
        let length = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        (length > 0).then_some(from + length)
    };
    let start = usize::from(bytes.first() == Some(&b'-'));
    let mut end = digits(start)?;
    if bytes[start] == b'0' && end > start + 1 {
        return None;
    }
    if bytes[end] == b'.' {
        end = digits(end + 1)?;
    }
    (!matches!(bytes[end], b'e' | b'E')).then_some(end)
}
