//! Answers on their way to their callers.
//!
//! A request's turn ends with its answer, but the answer stays in memory until its caller has taken it, which may be slowly.
//! So the bytes of large answers are counted together, and shared among tenants as those of requests are: one for which there
//! is no room is not sent, unless something was done for it; and whoever has too much of that already does nothing more
//! ([`Answers::let_in`]). Whoever takes nothing at all loses the connection after a while
//! ([`serve`](crate::http::server::serve)), and others have the room.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::Method,
    response::Response,
};
use http_body::{Frame, SizeHint};

use super::{
    bodies::{Bodies, Forced, Held},
    refusals::{Overload, Refusals},
};
use crate::{domain::ids::TenantId, http::request::body::content_length};

/// What is no larger is not counted: the system takes that much from a connection that nobody reads.
const SMALL_BYTES: usize = 64 * 1024;

/// Says how much memory an answer takes while it is sent, where that is not its length.
#[derive(Debug, Clone, Copy)]
pub struct Takes(pub usize);

/// Says in an answer that its request has changed nothing, though its method may: it can be repeated.
#[derive(Debug, Clone, Copy)]
pub struct ChangedNothing;

/// Whether an answer has to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Its request has changed nothing, and can be repeated.
    Refusable,
    /// Something was done, which its caller has to learn.
    Certain,
    /// Nothing of it is sent but its head.
    Head,
}

impl Need {
    /// That of what a method asks for.
    #[must_use]
    pub fn of(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::Head,
            _ if method.is_safe() => Self::Refusable,
            _ => Self::Certain,
        }
    }
}

/// The answers that are under way. Clones are the same.
#[derive(Debug, Clone)]
pub struct Answers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bodies: Mutex<Bodies>,
    refusals: Refusals,
}

impl Answers {
    /// None yet, and room for so many bytes.
    #[must_use]
    pub fn new(most_bytes: usize) -> Self {
        Self(Arc::new(Shared {
            bodies: Mutex::new(Bodies::new(most_bytes)),
            refusals: Refusals::default(),
        }))
    }

    /// Takes the room that the answer to a request of this tenant's needs until it is sent. `None`: whose it is, nobody has
    /// looked up yet.
    ///
    /// # Errors
    /// Where there is none, and the answer does not have to be sent.
    pub fn keep(
        &self,
        response: Response,
        by: Option<TenantId>,
        need: Need,
    ) -> Result<Response, Overload> {
        let bytes = bytes_of(&response);
        let status = response.status();
        let need = match need {
            // Nothing was done.
            Need::Certain
                if status.is_client_error()
                    || status.is_server_error()
                    || response.extensions().get::<ChangedNothing>().is_some() =>
            {
                Need::Refusable
            }
            need => need,
        };
        if bytes <= SMALL_BYTES || need == Need::Head {
            return Ok(response);
        }
        let room = Arc::new(self.take(Held { by, bytes }, need)?);
        Ok(response.map(|body| Body::new(Leaving { body, room })))
    }

    /// Lets in a request of this tenant's, before anything is done for it.
    ///
    /// # Errors
    /// Where the answer would have to be sent, and this tenant still has too many such answers that it has not taken.
    pub fn let_in(&self, by: Option<TenantId>, need: Need) -> Result<(), Overload> {
        let bodies = self.lock();
        if need == Need::Certain && bodies.is_owed_enough(by) {
            return Err(self.refuse(bodies));
        }
        Ok(())
    }

    /// Whether an answer can be kept, for whoever has a smaller one that is as true.
    #[must_use]
    pub fn have_room_for(&self, response: &Response, by: TenantId) -> bool {
        let (by, bytes) = (Some(by), bytes_of(response));
        bytes <= SMALL_BYTES || self.lock().have_room_for(Held { by, bytes })
    }

    /// Takes room for a part of an answer that has begun, whether or not there is any.
    #[must_use]
    pub fn hold(&self, by: TenantId, bytes: usize) -> Room {
        let body = Held {
            by: Some(by),
            bytes,
        };
        self.lock().force(body, Forced::Begun);
        self.room(body, Some(Forced::Begun))
    }

    fn room(&self, body: Held, forced: Option<Forced>) -> Room {
        Room {
            answers: self.clone(),
            body,
            forced,
        }
    }

    fn take(&self, body: Held, need: Need) -> Result<Room, Overload> {
        let mut bodies = self.lock();
        if bodies.try_hold(body) {
            return Ok(self.room(body, None));
        }
        if need == Need::Refusable {
            return Err(self.refuse(bodies));
        }
        bodies.force(body, Forced::Owed);
        Ok(self.room(body, Some(Forced::Owed)))
    }

    /// Counts a refusal, and says now and then that there are some.
    fn refuse(&self, bodies: MutexGuard<'_, Bodies>) -> Overload {
        let held_bytes = bodies.held();
        drop(bodies);
        if self.0.refusals.count(Overload::Answers) {
            tracing::warn!(
                reason = Overload::Answers.as_str(),
                held_bytes,
                "Overloaded: callers take large answers more slowly than they ask for them; further ones are answered 503"
            );
        }
        Overload::Answers
    }

    fn lock(&self) -> MutexGuard<'_, Bodies> {
        self.0.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an answer takes. Of one whose length nobody knows, such as a stream, there is but little at a time.
fn bytes_of(response: &Response) -> usize {
    if let Some(Takes(bytes)) = response.extensions().get() {
        return *bytes;
    }
    let length = response.body().size_hint().exact();
    let length = length.or_else(|| content_length(response.headers()));
    usize::try_from(length.unwrap_or_default()).unwrap_or(usize::MAX)
}

/// The room of an answer, or of a part of one. Given back when this is dropped.
#[derive(Debug)]
pub struct Room {
    answers: Answers,
    body: Held,
    forced: Option<Forced>,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut bodies = self.answers.lock();
        match self.forced {
            Some(why) => bodies.let_go_forced(self.body, why),
            None => bodies.let_go(self.body),
        }
    }
}

/// The body of an answer that takes room.
struct Leaving {
    body: Body,
    room: Arc<Room>,
}

/// A piece of it. The connection keeps pieces that are not sent yet, when it has long let go of the body.
struct Piece {
    bytes: Bytes,
    _room: Arc<Room>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let kept = |bytes| {
            Bytes::from_owner(Piece {
                bytes,
                _room: Arc::clone(&self.room),
            })
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(kept))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::to_bytes,
        http::{StatusCode, header},
    };
    use uuid::Uuid;

    use super::*;

    const LARGE: usize = SMALL_BYTES + 1;

    fn of(tenant: u128) -> TenantId {
        TenantId(Uuid::from_u128(tenant))
    }

    fn answer(bytes: usize) -> Response {
        Response::new(Body::from(vec![b'a'; bytes]))
    }

    #[tokio::test]
    async fn an_answer_holds_its_room_for_as_long_as_any_piece_of_it_is_there() {
        let answers = Answers::new(LARGE);
        let kept = answers
            .keep(answer(LARGE), Some(of(1)), Need::Refusable)
            .unwrap();
        assert_eq!(kept.body().size_hint().exact(), Some(LARGE as u64));
        let refused = answers.keep(answer(LARGE), Some(of(2)), Need::Refusable);
        assert_eq!(refused.unwrap_err(), Overload::Answers);
        let piece = to_bytes(kept.into_body(), LARGE).await.unwrap();
        assert_eq!((piece.len(), answers.lock().held()), (LARGE, LARGE));
        drop(piece);
        assert_eq!(answers.lock().held(), 0);
    }

    #[tokio::test]
    async fn what_is_small_or_has_to_be_said_is_never_refused() {
        let answers = Answers::new(LARGE);
        let _first = answers
            .keep(answer(LARGE), Some(of(1)), Need::Refusable)
            .unwrap();
        let small = answers.keep(answer(SMALL_BYTES), Some(of(1)), Need::Refusable);
        assert_eq!(small.map(|_| answers.lock().held()), Ok(LARGE));
        let certain = answers
            .keep(answer(LARGE), Some(of(1)), Need::Certain)
            .unwrap();
        assert_eq!(answers.lock().held(), 2 * LARGE);
        drop(certain);
        assert_eq!(answers.lock().held(), LARGE);
    }

    #[tokio::test]
    async fn of_what_was_not_done_nobody_has_to_learn() {
        let answers = Answers::new(LARGE);
        let _first = answers
            .keep(answer(LARGE), Some(of(1)), Need::Certain)
            .unwrap();
        for status in [400, 503] {
            let mut refusal = answer(LARGE);
            *refusal.status_mut() = StatusCode::from_u16(status).unwrap();
            let refused = answers.keep(refusal, Some(of(1)), Need::Certain);
            assert_eq!(refused.unwrap_err(), Overload::Answers);
        }
    }

    #[tokio::test]
    async fn what_has_changed_nothing_can_be_asked_for_again() {
        let answers = Answers::new(LARGE);
        let repeated = || {
            let mut response = answer(LARGE);
            response.extensions_mut().insert(ChangedNothing);
            answers.keep(response, Some(of(1)), Need::Certain)
        };
        let _first = repeated().unwrap();
        assert_eq!(repeated().unwrap_err(), Overload::Answers);
    }

    #[tokio::test]
    async fn whoever_does_not_take_what_has_to_be_said_does_nothing_more() {
        let answers = Answers::new(3 * LARGE);
        let mut held = Vec::new();
        while answers.let_in(Some(of(1)), Need::Certain).is_ok() {
            held.push(answers.keep(answer(LARGE), Some(of(1)), Need::Certain));
        }
        assert_eq!(held.len(), 3);
        answers.let_in(Some(of(1)), Need::Refusable).unwrap();
        answers.let_in(Some(of(2)), Need::Certain).unwrap();
        let other = answers.keep(answer(LARGE), Some(of(2)), Need::Refusable);
        assert!(other.is_ok());
        held.clear();
        answers.let_in(Some(of(1)), Need::Certain).unwrap();
    }

    #[tokio::test]
    async fn an_answer_takes_what_it_says_and_whoever_has_many_leaves_as_much_to_others() {
        let answers = Answers::new(5 * LARGE);
        let large = || {
            let mut response = answer(1);
            response.extensions_mut().insert(Takes(LARGE));
            response
        };
        let keep = |tenant| answers.keep(large(), Some(of(tenant)), Need::Refusable);
        let _held = [keep(1).unwrap(), keep(1).unwrap()];
        assert_eq!(keep(1).unwrap_err(), Overload::Answers);
        let _others = [keep(2).unwrap(), keep(3).unwrap()];
        assert_eq!(answers.lock().held(), 4 * LARGE);
    }

    #[tokio::test]
    async fn what_is_sent_in_pieces_takes_the_length_that_it_says_and_a_head_takes_nothing() {
        let answers = Answers::new(LARGE);
        let in_pieces = || {
            let mut response = Response::new(Body::new(Leaving {
                body: Body::from_stream(futures_util::stream::empty::<Result<Bytes, axum::Error>>()),
                room: Arc::new(answers.hold(of(0), 0)),
            }));
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, LARGE.into());
            response
        };
        let _head = answers.keep(in_pieces(), Some(of(1)), Need::Head).unwrap();
        assert_eq!(answers.lock().held(), 0);
        assert!(answers.have_room_for(&in_pieces(), of(0)));
        let _kept = answers
            .keep(in_pieces(), Some(of(1)), Need::Refusable)
            .unwrap();
        assert_eq!(answers.lock().held(), LARGE);
        assert!(!answers.have_room_for(&in_pieces(), of(0)));
        drop(answers.hold(of(0), LARGE));
        assert_eq!(answers.lock().held(), LARGE);
    }
}
