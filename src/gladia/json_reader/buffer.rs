//! The bytes that were read and are still to be looked at, checked to be UTF-8.

use std::io::{ErrorKind, Read};

use super::{JsonError, JsonReader, Step, Taking};

impl<R: Read> JsonReader<R> {
    /// Takes this byte.
    #[inline]
    pub(super) fn take(&mut self, wanted: u8) -> Step {
        if self.rest().first() == Some(&wanted) {
            self.at += 1;
            return Ok(());
        }
        if self.next()? == wanted {
            Ok(())
        } else {
            Err(self.malformed())
        }
    }

    /// Takes any byte.
    #[inline]
    pub(super) fn next(&mut self) -> Step<u8> {
        let byte = self.peek()?;
        let byte = byte.ok_or_else(|| JsonError::BreaksOff(self.offset()))?;
        self.at += 1;
        Ok(byte)
    }

    /// The first byte behind whitespace, which stays where it is.
    #[inline]
    pub(super) fn token(&mut self) -> Step<u8> {
        match self.rest().first() {
            // Gladia's JSON has no whitespace.
            Some(byte) if *byte > b' ' => Ok(*byte),
            _ => self.token_behind_whitespace(),
        }
    }

    fn token_behind_whitespace(&mut self) -> Step<u8> {
        self.skip_whitespace()?
            .ok_or_else(|| JsonError::BreaksOff(self.offset()))
    }

    pub(super) fn skip_whitespace(&mut self) -> Step<Option<u8>> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return Ok(other),
            }
        }
    }

    /// What is checked and still to be looked at.
    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.at..self.checked]
    }

    #[inline]
    pub(super) fn peek(&mut self) -> Step<Option<u8>> {
        if self.at == self.checked && !self.fill()? {
            return Ok(None);
        }
        Ok(Some(self.buffer[self.at]))
    }

    /// Reads on, where everything that is checked has been read. `false` at the end.
    fn fill(&mut self) -> Step<bool> {
        if self.is_broken {
            return Err(JsonError::NotUtf8(self.offset()));
        }
        self.put_aside();
        if let Some(taking) = &mut self.taking {
            taking.from = 0;
        }
        // The beginning of a character may stand behind what is checked.
        self.buffer.copy_within(self.checked..self.filled, 0);
        self.before += self.checked as u64;
        self.filled -= self.checked;
        (self.at, self.checked) = (0, 0);
        while self.checked == 0 {
            let read = match self.source.read(&mut self.buffer[self.filled..]) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Err(JsonError::Unreadable(self.offset())),
            };
            if read == 0 {
                return if self.filled == 0 {
                    Ok(false)
                } else {
                    Err(JsonError::NotUtf8(self.offset()))
                };
            }
            self.filled += read;
            match std::str::from_utf8(&self.buffer[..self.filled]) {
                Ok(_) => self.checked = self.filled,
                Err(error) => {
                    self.checked = error.valid_up_to();
                    self.is_broken = error.error_len().is_some();
                    if self.is_broken && self.checked == 0 {
                        return Err(JsonError::NotUtf8(self.offset()));
                    }
                }
            }
        }
        Ok(true)
    }

    /// Keeps what is being taken out before the buffer is filled anew, a byte more than wanted, which tells that there is
    /// more.
    pub(super) fn put_aside(&mut self) {
        if let Some(Taking { from, text, limit }) = &mut self.taking {
            let room = (*limit + 1).saturating_sub(text.len());
            let read = &self.buffer[*from..self.at];
            text.extend_from_slice(&read[..read.len().min(room)]);
            *from = self.at;
        }
    }

    pub(super) fn malformed(&self) -> JsonError {
        JsonError::Malformed(self.offset())
    }
}
