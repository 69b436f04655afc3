//! A form's body, with a bound on everything in it that is not content of a part.
//!
//! The reader of forms keeps what stands before a part's content in memory until it has found the end of it, and looks
//! for that end from the start again with each piece that arrives. Contents are passed on and bounded by whoever takes
//! them; the rest is bounded here.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::{Stream, StreamExt};

/// How many bytes a form may have before, between or after the contents of its parts, in each such place.
pub const MAX_OVERHEAD_BYTES: usize = 64 * 1024;

/// How much of them is handed on at once. Small, so that little of a content that follows is counted with them.
const PIECE_BYTES: usize = 16 * 1024;

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
pub enum FormBodyError {
    /// There is more besides the parts' contents than there may be.
    #[error("it has more than {MAX_OVERHEAD_BYTES} bytes outside the contents of its parts")]
    TooMuchOverhead,
    /// The connection broke off.
    #[error(transparent)]
    Broken(#[from] axum::Error),
}

/// The body. Clones read the same one.
#[derive(Clone)]
pub struct FormBody(Arc<Mutex<Inner>>);

struct Inner {
    stream: BodyDataStream,
    arrived: Arrived,
    /// Arrived, and not handed on.
    rest: Bytes,
    /// How much overhead may still come; nothing is counted while a content is read.
    left: Option<usize>,
    /// Whether the reader has to look at what it has before it gets more.
    pause: bool,
}

/// How far a form has arrived.
enum Arrived {
    Nothing,
    Bytes,
    Part,
}

impl FormBody {
    /// The body, of which no part has begun.
    #[must_use]
    pub fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            stream: body.into_data_stream(),
            arrived: Arrived::Nothing,
            rest: Bytes::new(),
            left: Some(MAX_OVERHEAD_BYTES),
            pause: false,
        })))
    }

    /// The content of a part begins.
    pub fn begin_content(&self) {
        let mut inner = self.lock();
        inner.left = None;
        inner.arrived = Arrived::Part;
    }

    /// It has ended.
    pub fn end_content(&self) {
        self.lock().left = Some(MAX_OVERHEAD_BYTES);
    }

    /// Why it is no form, where it has neither another part nor an end.
    #[must_use]
    pub fn why_unfinished(&self) -> &'static str {
        match self.lock().arrived {
            Arrived::Nothing => "it is empty",
            Arrived::Bytes => "no part begins in it",
            Arrived::Part => "behind a part stands neither another part nor the form's end",
        }
    }

    /// Reads what stands behind the last part.
    ///
    /// # Errors
    /// Where it is too much, or breaks off.
    pub async fn read_to_end(&mut self) -> Result<(), FormBodyError> {
        self.end_content();
        while let Some(piece) = self.next().await {
            piece?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for FormBody {
    type Item = Result<Bytes, FormBodyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut piece = std::mem::take(&mut inner.rest);
        while piece.is_empty() {
            match ready!(inner.stream.poll_next_unpin(cx)) {
                Some(arrived) => piece = arrived?,
                None => return Poll::Ready(None),
            }
        }
        if let Arrived::Nothing = inner.arrived {
            inner.arrived = Arrived::Bytes;
        }
        if let Some(left) = inner.left {
            if left == 0 {
                return Poll::Ready(Some(Err(FormBodyError::TooMuchOverhead)));
            }
            inner.rest = piece.split_off(piece.len().min(left).min(PIECE_BYTES));
            inner.left = Some(left - piece.len());
            inner.pause = true;
        }
        Poll::Ready(Some(Ok(piece)))
    }
}
