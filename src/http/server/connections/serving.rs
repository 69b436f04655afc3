//! For how long a request is being served.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use axum::body::HttpBody;
use http_body::{Frame, SizeHint};

use super::{AnswerIs, Connections, Place};

/// A request that is being served, until this is gone and all bodies that belong to it are.
#[derive(Debug)]
pub struct Serving {
    // The first to go.
    answer: Answer,
    request: Arc<Request>,
}

/// The answer of a request, until the connection has all of it.
#[derive(Debug)]
struct Answer(Place);

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.change(|_, answer| *answer = AnswerIs::HandedOver);
    }
}

#[derive(Debug)]
struct Request(Place);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.change(|requests, _| *requests -= 1);
    }
}

impl Connections {
    /// From now on each ends with its next answer.
    pub fn leave(&self) {
        self.0.is_leaving.store(true, Ordering::Relaxed);
    }
}

impl Place {
    /// As [`Connections::leave`].
    pub fn leave(&self) {
        self.0.shared.is_leaving.store(true, Ordering::Relaxed);
    }
}

impl Serving {
    pub(super) fn new(place: &Place) -> Self {
        Self {
            answer: Answer(place.clone()),
            request: Arc::new(Request(place.clone())),
        }
    }

    /// The body of the request.
    pub fn body<B: HttpBody>(&self, body: B) -> ServedBody<B> {
        let held = (!body.is_end_stream()).then(|| BodyOf::Request(Arc::clone(&self.request)));
        ServedBody { body, _held: held }
    }

    /// Whether its connection ends with its answer.
    #[must_use]
    pub fn is_last(&self) -> bool {
        let Answer(place) = &self.answer;
        place.0.shared.is_leaving.load(Ordering::Relaxed)
    }

    /// The body of the answer.
    pub fn answer<B: HttpBody>(self, body: B) -> ServedBody<B> {
        let held = (!body.is_end_stream()).then_some(BodyOf::Answer(self));
        ServedBody { body, _held: held }
    }
}

/// A body of a request or of its answer.
#[derive(Debug)]
pub struct ServedBody<B> {
    body: B,
    _held: Option<BodyOf>,
}

/// Held for as long as the body is there.
#[derive(Debug)]
#[expect(dead_code, reason = "each is held for its end")]
enum BodyOf {
    Request(Arc<Request>),
    Answer(Serving),
}

impl<B: HttpBody + Unpin> HttpBody for ServedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
