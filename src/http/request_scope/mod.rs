//! What is known of the request that is being handled, wherever it is handled.
//!
//! [`request_id`] is around the handling of every request: all this is known from there on, and there its span begins. Its line in
//! the [`log`] and what is counted of it ([`metrics`]) come with its end. The trace that it belongs to is told by its headers
//! ([`trace_context`]).

use std::{
    cell::{Cell, OnceCell},
    sync::Arc,
};

use crate::{
    domain::access::Caller,
    http::server::overload::HeldBytes,
    turns::{By, Handle, Pause},
};

mod log;
mod metrics;
pub mod request_id;
pub mod trace_context;

/// What is known of the request that is being handled.
struct Known {
    id: String,
    caller: OnceCell<Caller>,
    found: Cell<Option<Found>>,
    turn: OnceCell<Handle>,
    body: OnceCell<Arc<HeldBytes>>,
}

/// Whose a key was when it was looked up for this request.
pub(super) struct Found {
    pub(super) hash: [u8; 32],
    /// `None`: nobody's.
    pub(super) caller: Option<Caller>,
}

tokio::task_local! {
    static KNOWN: Known;
}

/// Handles a request, of which its id is known to begin with.
pub(super) fn enter<F: Future>(id: String, handled: F) -> impl Future<Output = F::Output> {
    let known = Known {
        id,
        caller: OnceCell::new(),
        found: Cell::new(None),
        turn: OnceCell::new(),
        body: OnceCell::new(),
    };
    KNOWN.scope(known, handled)
}

/// The id of the request that is being handled.
#[must_use]
pub fn id() -> Option<String> {
    KNOWN.try_with(|known| known.id.clone()).ok()
}

/// Who made the request that is being handled, once that is known.
pub(super) fn caller() -> Option<Caller> {
    let caller = KNOWN.try_with(|known| known.caller.get().copied());
    caller.ok()?
}

/// The tenant of the caller, once that is known. What is asked for elsewhere would count as nobody's, in the one
/// line of all whom nobody knows: a body that is still to be read, and a task of its own, outlive this and say whose they are.
pub(super) fn tenant() -> By {
    let caller = KNOWN.try_with(|known| known.caller.get().copied());
    debug_assert!(
        caller.is_ok(),
        "no request is handled here: say whose it is, as in `callers.acquire(Some(tenant_id))`"
    );
    Some(caller.ok()??.tenant_id)
}

/// Keeps what was found out to know whose turn it is, so that it is not asked a second time.
pub(super) fn note_found(found: Found) {
    let _ = KNOWN.try_with(|known| known.found.set(Some(found)));
}

/// Whose this key was when it was looked up for this request, once.
pub(super) fn take_found(hash: &[u8; 32]) -> Option<Found> {
    let found = KNOWN.try_with(|known| known.found.take()).ok()??;
    (found.hash == *hash).then_some(found)
}

/// Lets the request's line in the log say who made it. Not the span's: to add to that takes longer than all else that is logged.
pub(super) fn note_caller(caller: Caller) {
    let _ = KNOWN.try_with(|known| known.caller.set(caller));
}

/// Lets the request leave its turn to others while it waits for something else, and say what its body takes.
pub(super) fn note_turn(turn: Handle, body: Arc<HeldBytes>) {
    let _ = KNOWN.try_with(|known| {
        let _ = known.turn.set(turn);
        known.body.set(body)
    });
}

/// What is held for the body of the request that is being handled, if it has a turn.
pub(super) fn body() -> Option<Arc<HeldBytes>> {
    KNOWN.try_with(|known| known.body.get().cloned()).ok()?
}

/// Leaves the turn of the request that is being handled to others, if it has one.
pub(super) fn pause() -> Option<Pause> {
    let begun = KNOWN.try_with(|known| known.turn.get().map(Handle::pause));
    begun.ok().flatten()
}

/// The same for as long as something else is waited for, such as Gladia, which may take its time.
pub(super) async fn pause_during<T>(waited: impl Future<Output = T>) -> T {
    let _pause = pause();
    waited.await
}
