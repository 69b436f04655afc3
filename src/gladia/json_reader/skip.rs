//! Passing over values, and making sure of them.

use std::io::Read;

use super::{
    JsonError, JsonReader, Kind, Step,
    plain::{Next, pass_plain, plain_length},
};

/// How deep what is passed over may be nested. Each level takes a byte.
pub(super) const MAX_NESTING: usize = 1_000_000;

impl<R: Read> JsonReader<R> {
    /// Passes over a value.
    ///
    /// # Errors
    /// Where it is no JSON.
    pub fn skip(&mut self) -> Step {
        // What is open around what comes next: `true` for an object.
        let mut open: Vec<bool> = Vec::new();
        let mut next = Next::Value;
        loop {
            // Almost all of it. What is left is looked at byte by byte: escapes, words, exponents, what is empty, and what ends
            // behind what has been read.
            self.at += pass_plain(self.rest(), &mut open, &mut next);
            match next {
                Next::Value => next = self.skip_value(&mut open)?,
                Next::Behind => {
                    let Some(&is_object) = open.last() else {
                        return Ok(());
                    };
                    next = self.skip_behind(is_object, &mut open)?;
                }
            }
        }
    }

    /// Passes over a value; of an object or an array that is not empty, over its beginning.
    fn skip_value(&mut self, open: &mut Vec<bool>) -> Step<Next> {
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
                    return Ok(Next::Value);
                }
            }
            Kind::String => self.skip_string()?,
            Kind::Number => self.skip_number()?,
            Kind::True => self.skip_word(b"true")?,
            Kind::False => self.skip_word(b"false")?,
            Kind::Null => self.skip_word(b"null")?,
        }
        Ok(Next::Behind)
    }

    /// Passes over what stands between a value and the next one, or ends what is around it.
    fn skip_behind(&mut self, is_object: bool, open: &mut Vec<bool>) -> Step<Next> {
        match (self.token()?, is_object) {
            (b',', _) => {
                self.at += 1;
                if is_object {
                    self.skip_name()?;
                }
                Ok(Next::Value)
            }
            (b'}', true) | (b']', false) => {
                self.at += 1;
                open.pop();
                Ok(Next::Behind)
            }
            _ => Err(self.malformed()),
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
