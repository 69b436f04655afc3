//! JSON read piece by piece, in memory that does not grow with it.
//!
//! A transcript is tens of megabytes of words, of which nothing is wanted here. What is passed over is checked to be JSON
//! in UTF-8, as strictly as `serde_json` checks it, and forgotten; what is wanted is taken out as raw text of a bounded
//! length. That text is still lenient ground: a number beyond every range or half a surrogate pair spoils the one value
//! that it stands in, and not the document.

mod buffer;
mod plain;
mod skip;

use std::{fmt, io::Read};

use serde::de::DeserializeOwned;

/// How much is read at once.
const BUFFER_BYTES: usize = 32 * 1024;

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
            .then(|| serde_json::from_str::<T>(&self.text).ok())?
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
            if let Ok(text) = serde_json::from_str::<String>(&format!("{text}\"")) {
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

    /// How many bytes have been read. The source may have given more.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// The same, of a document that is in memory.
    #[must_use]
    pub fn position(&self) -> usize {
        usize::try_from(self.offset()).unwrap_or(usize::MAX)
    }

    /// Where the document comes from.
    pub fn source(&mut self) -> &mut R {
        &mut self.source
    }
}
