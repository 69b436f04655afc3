//! Answers that reach callers who are still sending.
//!
//! A request is often answered before its body has been read: a wrong key is noticed at the headers of a file of a
//! gigabyte. A connection that is closed then, with bytes of the caller's still under way, is reset, and the reset
//! discards the answer on the caller's side. So what is left of a body is read for a while after the answer, and thrown
//! away.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::header,
    response::Response,
};
use futures_util::{FutureExt, StreamExt};
use http_body::{Frame, SizeHint};

/// How much of a body is still read after its request was answered. Many clients look for an answer only once they have
/// sent everything; those who look earlier stop earlier.
const LINGER_BYTES: usize = 128 * 1024 * 1024;

/// How long.
const LINGER_TIME: Duration = Duration::from_secs(10);

/// Handles a request, and then reads on, in the background, what its handler has left of the body.
pub fn handle<F: Future<Output = Response>>(
    request: Request,
    handler: impl FnOnce(Request) -> F,
) -> impl Future<Output = Response> {
    if request.body().is_end_stream() {
        return handler(request).left_future();
    }
    let asks_first = request.headers().contains_key(header::EXPECT);
    let (head, body) = request.into_parts();
    let shared = SharedBody::new(body);
    let request = Request::from_parts(head, Body::new(shared.clone()));
    let answered = handler(request).map(move |response| {
        if let Some(rest) = shared.take_rest(asks_first) {
            tokio::spawn(read_on(rest));
        }
        response
    });
    answered.right_future()
}

/// Reads until the end, the bounds, or the end of the connection.
async fn read_on(body: Body) {
    let mut stream = body.into_data_stream();
    let _ = tokio::time::timeout(LINGER_TIME, async {
        let mut read = 0;
        while let Some(Ok(chunk)) = stream.next().await {
            read += chunk.len();
            if read > LINGER_BYTES {
                return;
            }
        }
    })
    .await;
}

/// A body that can be taken back from whoever reads it. It is read only when it is asked for, as before.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Shared>>);

struct Shared {
    stage: Stage,
    /// Whether somebody has asked for the body.
    asked_for: bool,
}

enum Stage {
    Unfinished(Body),
    Finished,
    TakenBack,
}

impl SharedBody {
    fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            stage: Stage::Unfinished(body),
            asked_for: false,
        })))
    }

    /// What is left to be read.
    ///
    /// Nothing, where the caller waits for leave to send (`Expect: 100-continue`) and never got it: to read on is to
    /// give it. Such a connection is closed, since what comes next on it might be the body or another request.
    fn take_rest(&self, asks_first: bool) -> Option<Body> {
        let mut shared = self.lock();
        if asks_first && !shared.asked_for {
            return None;
        }
        match std::mem::replace(&mut shared.stage, Stage::TakenBack) {
            Stage::Unfinished(body) if !body.is_end_stream() => Some(body),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut shared = self.lock();
        shared.asked_for = true;
        let frame = match &mut shared.stage {
            Stage::Unfinished(body) => ready!(Pin::new(body).poll_frame(cx)),
            Stage::Finished => None,
            // An error, so that nobody takes what was read for the whole.
            Stage::TakenBack => Some(Err(axum::Error::new("the request has been answered"))),
        };
        if matches!(frame, None | Some(Err(_))) {
            shared.stage = Stage::Finished;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.lock().stage {
            Stage::Unfinished(body) => body.is_end_stream(),
            Stage::Finished => true,
            Stage::TakenBack => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.lock().stage {
            Stage::Unfinished(body) => body.size_hint(),
            Stage::Finished => SizeHint::with_exact(0),
            Stage::TakenBack => SizeHint::default(),
        }
    }
}
