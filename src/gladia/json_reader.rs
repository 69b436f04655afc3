//! JSON read piece by piece, in memory that does not grow with it.
//!
//! A transcript is tens of megabytes of words, of which nothing is wanted here. What is passed over is checked to be JSON
//! in UTF-8, as strictly as `serde_json` checks it, and forgotten; what is wanted is taken out as raw text of a bounded
//! length. That text is still lenient ground: a number beyond every range or half a surrogate pair spoils the one value
//! that it stands in, and not the document.

use std::{fmt, io::Read};

use serde::de::DeserializeOwned;

/// How much is read at once.
const BUFFER_BYTES: usize = 32 * 1024;

/// How deep what is passed over may be nested. Each level takes a byte.
const MAX_NESTING: usize = 1_000_000;

/// The longest escape of one character: two halves of a surrogate pair.
const LONGEST_ESCAPE: usize = 12;

/// Why reading stopped, with the number of the byte at which it did. Never with anything of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonError {
    /// It ends in the middle.
    BreaksOff(u64),
    /// It is no JSON.
    Malformed(u64),
    /// It is no UTF-8.
    NotUtf8(u64),
    /// It is nested deeper than anything that makes sense.
    TooDeep(u64),
    /// It could not be read.
    Unreadable(u64),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BreaksOff(at) => write!(f, "it breaks off after {at} bytes"),
            Self::Malformed(at) => write!(f, "it is no JSON (byte {at})"),
            Self::NotUtf8(at) => write!(f, "it is no UTF-8 (byte {at})"),
            Self::TooDeep(at) => write!(f, "it is nested too deep (byte {at})"),
            Self::Unreadable(at) => write!(f, "it could not be read on after {at} bytes"),
        }
    }
}

/// What kind of value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A digit or a minus.
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

/// The text of a value as it stands in the document, as far as it was wanted.
#[derive(Debug, Default)]
pub struct Raw {
    text: String,
    is_whole: bool,
}

impl Raw {
    /// The value, where it is whole and of this type.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        self.is_whole
            .then(|| serde_json::from_str(&self.text).ok())?
    }

    /// A string; of a longer one its beginning. `None` where it is no string, or not one of Unicode.
    #[must_use]
    pub fn read_text(&self) -> Option<String> {
        if self.is_whole {
            return self.read();
        }
        // The cut may have gone through an escape, but not through a character.
        let mut text = self.text.clone();
        for _ in 0..=LONGEST_ESCAPE {
            if let Ok(text) = serde_json::from_str(&format!("{text}\"")) {
                return Some(text);
            }
            text.pop();
        }
        None
    }

    /// As it stands there.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A document that is being read.
pub struct JsonReader<R> {
    source: R,
    buffer: Box<[u8]>,
    /// The next byte.
    at: usize,
    /// Up to here the buffer is known to be UTF-8.
    checked: usize,
    /// Up to here there is something in it.
    filled: usize,
    /// How many bytes came before those in the buffer.
    before: u64,
    /// What stands behind `checked` is no UTF-8, whatever follows.
    is_broken: bool,
    /// Where raw text is being taken out, its beginning in the buffer, and what of it has left the buffer.
    taking: Option<Taking>,
}

struct Taking {
    from: usize,
    text: Vec<u8>,
    limit: usize,
}

type Step<T = ()> = Result<T, JsonError>;

impl<R: Read> JsonReader<R> {
    /// Reads from a source, from its beginning.
    pub fn new(source: R) -> Self {
        Self {
            source,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            at: 0,
            checked: 0,
            filled: 0,
            before: 0,
            is_broken: false,
            taking: None,
        }
    }

    /// Tells what comes next.
    ///
    /// # Errors
    /// Where nothing does, or no value.
    pub fn kind(&mut self) -> Step<Kind> {
        Ok(match self.token()? {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::String,
            b'-' | b'0'..=b'9' => Kind::Number,
            b't' => Kind::True,
            b'f' => Kind::False,
            b'n' => Kind::Null,
            _ => return Err(self.malformed()),
        })
    }

    /// Reads an object: calls `each` with every name, which must read or skip its value. A name that is longer than
    /// `name_limit` bytes, or not of Unicode, is none.
    ///
    /// # Errors
    /// Where it is no JSON, or `each` says so.
    pub fn members(
        &mut self,
        name_limit: usize,
        mut each: impl FnMut(&mut Self, Option<&str>) -> Step,
    ) -> Step {
        self.take(b'{')?;
        if self.token()? == b'}' {
            return self.take(b'}');
        }
        loop {
            if self.token()? != b'"' {
                return Err(self.malformed());
            }
            let name: Option<String> = self.raw(name_limit)?.read();
            self.colon()?;
            self.token()?;
            each(self, name.as_deref())?;
            match self.token()? {
                b',' => self.take(b',')?,
                _ => return self.take(b'}'),
            }
        }
    }

    /// Reads an array: calls `each` with every index, which must read or skip the element.
    ///
    /// # Errors
    /// Where it is no JSON, or `each` says so.
    pub fn elements(&mut self, mut each: impl FnMut(&mut Self, usize) -> Step) -> Step {
        self.take(b'[')?;
        if self.token()? == b']' {
            return self.take(b']');
        }
        for index in 0.. {
            self.token()?;
            each(self, index)?;
            match self.token()? {
                b',' => self.take(b',')?,
                _ => break,
            }
        }
        self.take(b']')
    }

    /// Passes over a value and takes out its text, up to a number of bytes.
    ///
    /// # Errors
    /// Where it is no JSON.
    pub fn raw(&mut self, limit: usize) -> Step<Raw> {
        self.token()?;
        self.taking = Some(Taking {
            from: self.at,
            text: Vec::new(),
            limit,
        });
        let skipped = self.skip();
        self.put_aside();
        let taken = self.taking.take();
        skipped?;
        let Some(Taking { mut text, .. }) = taken else {
            return Ok(Raw::default());
        };
        let is_whole = text.len() <= limit;
        text.truncate(limit);
        let text = match String::from_utf8(text) {
            Ok(text) => text,
            // Cut within a character.
            Err(error) => {
                let end = error.utf8_error().valid_up_to();
                let mut text = error.into_bytes();
                text.truncate(end);
                String::from_utf8(text).unwrap_or_default()
            }
        };
        Ok(Raw { text, is_whole })
    }

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

    /// Makes sure that nothing follows.
    ///
    /// # Errors
    /// Where something does.
    pub fn end(&mut self) -> Step {
        match self.skip_whitespace()? {
            None => Ok(()),
            Some(_) => Err(self.malformed()),
        }
    }

    fn skip_name(&mut self) -> Step {
        if self.token()? != b'"' {
            return Err(self.malformed());
        }
        self.skip_string()?;
        self.colon()
    }

    fn colon(&mut self) -> Step {
        self.token()?;
        self.take(b':')
    }

    fn skip_string(&mut self) -> Step {
        self.take(b'"')?;
        loop {
            if self.peek()?.is_none() {
                return Err(JsonError::BreaksOff(self.offset()));
            }
            let rest = &self.buffer[self.at..self.checked];
            let plain = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | ..=0x1f));
            self.at += plain.unwrap_or(rest.len());
            if plain.is_none() {
                continue;
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
                _ => return Err(self.malformed()),
            }
        }
    }

    fn skip_number(&mut self) -> Step {
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

    /// Takes this byte.
    fn take(&mut self, wanted: u8) -> Step {
        if self.next()? == wanted {
            Ok(())
        } else {
            Err(self.malformed())
        }
    }

    /// Takes any byte.
    fn next(&mut self) -> Step<u8> {
        let byte = self.peek()?;
        let byte = byte.ok_or_else(|| JsonError::BreaksOff(self.offset()))?;
        self.at += 1;
        Ok(byte)
    }

    /// The first byte behind whitespace, which stays where it is.
    fn token(&mut self) -> Step<u8> {
        self.skip_whitespace()?
            .ok_or_else(|| JsonError::BreaksOff(self.offset()))
    }

    fn skip_whitespace(&mut self) -> Step<Option<u8>> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return Ok(other),
            }
        }
    }

    fn peek(&mut self) -> Step<Option<u8>> {
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
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
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
    fn put_aside(&mut self) {
        if let Some(Taking { from, text, limit }) = &mut self.taking {
            let room = (*limit + 1).saturating_sub(text.len());
            let read = &self.buffer[*from..self.at];
            text.extend_from_slice(&read[..read.len().min(room)]);
            *from = self.at;
        }
    }

    /// How many bytes have been read, of a document that is in memory.
    #[must_use]
    pub fn position(&self) -> usize {
        usize::try_from(self.offset()).unwrap_or(usize::MAX)
    }

    fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    fn malformed(&self) -> JsonError {
        JsonError::Malformed(self.offset())
    }
}
