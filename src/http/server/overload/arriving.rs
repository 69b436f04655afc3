//! A body whose request gives up its turn for as long as it waits for it.

use std::{
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

/// A body on its way.
pub struct Arriving {
    body: Body,
    turn: Handle,
    pause: Option<Pause>,
    /// What is held for it.
    bytes: Arc<HeldBytes>,
    /// How much of it has come.
    arrived: usize,
    passes: Passes,
}

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
            passes,
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
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.arrived += frame.data_ref().map_or(0, Bytes::len);
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
