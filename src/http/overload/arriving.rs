//! A body whose request gives up its turn for as long as it waits for it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

use super::turn::{HeldBytes, Pauses};

/// A body on its way.
pub struct Arriving {
    body: Body,
    pauses: Pauses,
    is_paused: bool,
    /// Whether it is passed on as it arrives: then its request waits for its caller or for Gladia until nobody reads it any more,
    /// which is not before Gladia has answered.
    is_file: bool,
    /// What it takes while it is passed on, and no longer.
    _file_bytes: Option<HeldBytes>,
}

impl Arriving {
    /// The body of a request that has a turn; of a file with what that takes.
    pub fn new(body: Body, pauses: Pauses, file_bytes: Option<HeldBytes>) -> Self {
        Self {
            body,
            pauses,
            is_paused: false,
            is_file: file_bytes.is_some(),
            _file_bytes: file_bytes,
        }
    }

    fn set_paused(&mut self, is_paused: bool) {
        if self.is_paused != is_paused {
            self.is_paused = is_paused;
            self.pauses.set(is_paused);
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.set_paused(false);
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
        let is_paused = frame.is_pending() || self.is_file;
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
