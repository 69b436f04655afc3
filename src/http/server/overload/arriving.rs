//! A body whose request gives up its turn for as long as it waits for it.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

use super::{
    FILE_BYTES,
    turn::{HeldBytes, Turn},
};
use crate::turns::{Handle, Pause};

/// What takes memory beside a sign that stands beside values, once it is parsed: a value, in each of the forms that a request goes
/// through.
const BYTES_PER_SIGN: usize = 64;

/// So much of that every request may take by having its turn.
const ORDINARY_BYTES: usize = 32_000;

/// How much JSON becomes beyond what is ordinary, by its commas, colons and opening brackets.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    signs: usize,
    held: usize,
}

impl Parsed {
    /// Takes room for what some more of it becomes.
    pub(super) fn make_room(&mut self, data: &[u8], bytes: &HeldBytes) -> Result<(), NoRoom> {
        let is_sign = |byte: &&u8| matches!(byte, b',' | b':' | b'[' | b'{');
        self.signs += data.iter().filter(is_sign).count();
        let parsed = self.signs.saturating_mul(BYTES_PER_SIGN);
        let more = parsed.saturating_sub(ORDINARY_BYTES + self.held);
        if more > 0 {
            bytes.grow(more)?;
            self.held += more;
        }
        Ok(())
    }
}

/// A body on its way.
pub struct Arriving {
    body: Body,
    turn: Handle,
    pause: Option<Pause>,
    /// What is held for it.
    bytes: Arc<HeldBytes>,
    /// How much of it has come.
    arrived: usize,
    parsed: Parsed,
    passes: Passes,
}

/// There is no room for what a body becomes once it is parsed.
#[derive(Debug)]
pub(super) struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no room for the body")
    }
}

impl Error for NoRoom {}

/// What passes through with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    /// Nothing: it is read whole, and its request takes as much as has come of it.
    Nothing,
    /// Audio that the request asks for: it takes its part until the request is answered.
    Audio,
    /// A file, as it arrives: its request waits for its caller or for Gladia until nobody reads it any more, which is not before
    /// Gladia has answered, and takes nothing from then on.
    File,
}

impl Arriving {
    /// The body of a request that has a turn.
    pub fn new(body: Body, turn: &Turn, passes: Passes) -> Self {
        Self {
            body,
            turn: turn.handle(),
            pause: None,
            bytes: turn.bytes(),
            arrived: 0,
            parsed: Parsed::default(),
            passes,
        }
    }

    /// Takes room for what some more of it becomes. A form's file becomes nothing, and its options are counted where they are read.
    fn make_room(&mut self, data: &[u8]) -> Result<(), NoRoom> {
        self.arrived += data.len();
        match self.passes {
            Passes::File => Ok(()),
            Passes::Nothing | Passes::Audio => self.parsed.make_room(data, &self.bytes),
        }
    }

    fn set_paused(&mut self, is_paused: bool) {
        if !is_paused {
            self.pause = None;
        } else if self.pause.is_none() {
            self.pause = Some(self.turn.pause());
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.set_paused(false);
        // No more of it comes, and its length may have been assumed.
        self.bytes.keep_at_most(match self.passes {
            Passes::Nothing => self.arrived,
            Passes::Audio => self.arrived.max(FILE_BYTES),
            Passes::File => 0,
        });
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(error) = self.make_room(data)
        {
            return Poll::Ready(Some(Err(axum::Error::new(error))));
        }
        let is_paused = frame.is_pending() || self.passes == Passes::File;
        self.set_paused(is_paused);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
