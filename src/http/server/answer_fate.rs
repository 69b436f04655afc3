//! What becomes of an answer after its handler: whether it left, and what its connection told afterwards.
//!
//! A connection tells little. That an answer left means that the system took it, not that anybody has it; another request on
//! the same connection means that somebody has; a reset means that it was thrown away. An end in order means nothing.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use http_body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
    time::Instant,
};

use super::connections::Place;

/// How an answer fared. A channel that closes before it [left](Fate::Left) is that of an answer that never did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has not left.
    UnderWay,
    /// The system has all of it.
    Left(Instant),
    /// Then another request came on the same connection.
    Received(Instant),
    /// Then the connection was reset.
    Lost,
}

/// Sees what becomes of an answer on the connection of its request. Each request has it in its extensions; clones are of the same
/// connection.
#[derive(Debug, Clone, Default)]
pub struct FateWatch(Arc<Mutex<Option<Followed>>>);

/// The answer that is followed.
#[derive(Debug)]
struct Followed {
    fate: watch::Sender<Fate>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// All of it was handed to the connection at this instant.
    HandedOver(Instant),
    Left(Instant),
}

impl FateWatch {
    /// Follows an answer that is about to be sent.
    #[must_use]
    pub fn follow(&self, response: Response) -> (Response, watch::Receiver<Fate>) {
        let (sender, fate) = watch::channel(Fate::UnderWay);
        let response = response.map(|body| {
            Body::new(FollowedBody {
                body,
                fate_watch: self.clone(),
                fate: Some(sender),
            })
        });
        (response, fate)
    }

    fn handed_over(&self, fate: watch::Sender<Fate>) {
        let stage = Stage::HandedOver(Instant::now());
        *self.lock() = Some(Followed { fate, stage });
    }

    fn flushed(&self) {
        if let Some(followed) = &mut *self.lock()
            && let Stage::HandedOver(at) = followed.stage
        {
            followed.stage = Stage::Left(at);
            followed.fate.send_replace(Fate::Left(at));
        }
    }

    fn read(&self) {
        let mut followed = self.lock();
        if let Some(Followed {
            fate,
            stage: Stage::Left(at),
        }) = &*followed
        {
            fate.send_replace(Fate::Received(*at));
            *followed = None;
        }
    }

    fn ended(&self) {
        *self.lock() = None;
    }

    fn broken(&self) {
        if let Some(followed) = self.lock().take()
            && matches!(followed.stage, Stage::Left(_))
        {
            followed.fate.send_replace(Fate::Lost);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Followed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of an answer that is followed.
struct FollowedBody {
    body: Body,
    fate_watch: FateWatch,
    fate: Option<watch::Sender<Fate>>,
}

impl HttpBody for FollowedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let is_whole = match &frame {
            None => true,
            Some(Ok(_)) => self.body.is_end_stream(),
            Some(Err(_)) => false,
        };
        if is_whole && let Some(fate) = self.fate.take() {
            self.fate_watch.handed_over(fate);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection's two directions, looked at as they pass.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    fate_watch: FateWatch,
    place: Place,
}

impl<S> Watched<S> {
    /// Looks at what passes, and tells the fate watch; and the place, when something has come, and when nothing is left to be sent.
    pub fn new(stream: S, fate_watch: FateWatch, place: Place) -> Self {
        Self {
            stream,
            fate_watch,
            place,
        }
    }

    fn tell_if_broken<T>(&self, done: &io::Result<T>) {
        if done.is_err() {
            self.fate_watch.broken();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let done = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        match &done {
            Ok(()) if buffer.filled().len() > before => {
                self.fate_watch.read();
                self.place.read();
            }
            Ok(()) => self.fate_watch.ended(),
            Err(_) => self.fate_watch.broken(),
        }
        Poll::Ready(done)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.tell_if_broken(&done);
        Poll::Ready(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, pieces));
        self.tell_if_broken(&done);
        Poll::Ready(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        match &done {
            Ok(()) => {
                self.fate_watch.flushed();
                self.place.flushed();
            }
            Err(_) => self.fate_watch.broken(),
        }
        Poll::Ready(done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
