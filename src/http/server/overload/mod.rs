//! Requests beyond capacity: refused early, so that those that are taken are answered in time.
//!
//! So many requests of the API are worked on at once ([`gate`]), several for each connection to the database, and the next
//! wait for their turn: those of a tenant in the order in which they came, and none for those of another that has many
//! ([`turns`](crate::turns)). A burst is waited out. Where a tenant's turns have been short for a while, waiting longer would
//! only make all of its requests late, and one that does not get a turn within a moment is refused: 503, with `Retry-After`,
//! before anything was done. What the bodies of requests take is bounded in the same way, by their declared lengths until they
//! are read, and by what came and what it becomes once it is parsed from then on, and by tenant, since bodies may come slowly.
//!
//! Whoever waits for something else is not worked on, and leaves the turn to others ([`Pause`](crate::turns::Pause)): for its
//! body ([`arriving`]), for Gladia, or for news ([`wait`](crate::http::wait)). Streams, which many clients do not ask for a second
//! time, are never refused here: few at once are opened, and the rest wait.
//!
//! What was worked on is in memory until its caller has taken it, which is bounded, too ([`answers`]).
//!
//! Callbacks and account webhooks, probes and metrics do not pass here, nor do they compete with callers for the last
//! connections to the database ([`CallerPool`](crate::db::pool::CallerPool)).

mod answers;
mod arriving;
mod bodies;
mod gate;
mod refusals;
mod turn;

use std::{error::Error, time::Duration};

use axum::{
    body::Body,
    extract::{MatchedPath, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use rand::RngExt;
use tokio::time::timeout;

use self::{
    answers::Need,
    arriving::{Arriving, NoRoom, Parsed, Passes},
    bodies::Held,
    turn::Turn,
};
pub use self::{
    answers::{Answers, ChangedNothing, Room, Takes},
    gate::Gate,
    refusals::Overload,
    turn::HeldBytes,
};
use crate::{
    domain::millis::whole_ms,
    http::{
        auth::{find_caller_now, presented},
        hand_on,
        problem::{Problem, ProblemType},
        request::body::{content_length, media_type},
        request_scope::{self, Found, note_found, note_turn},
        state::AppState,
        v2,
        wait::{MOST_SECONDS, may_wait},
    },
    turns::By,
};

/// What a file takes while it passes through or is waited for, whatever its size.
pub const FILE_BYTES: usize = 1_000_000;

/// How long a request may be worked on, besides what it waits for. A list with filters that no index answers may walk for a while.
const WORK_TIMEOUT: Duration = Duration::from_mins(2);

/// Where audio comes from Gladia or goes there, also without a file in the request.
const FILE_ROUTES: [&str; 3] = ["/audio", "/file", "/v2/upload"];

/// The longest until whoever was refused may come again. Many that were refused together do not come together.
const MOST_RETRY_AFTER: u64 = 3;

/// Lets requests through when it is their turn.
pub fn handle(state: AppState, request: Request, next: Next) -> impl Future<Output = Response> {
    if is_stream(&request) {
        let hash = hash_of_key(&request);
        let opened = async move {
            let whose = match tenant_of(hash, &state).await {
                // It may wait for long, so its key is looked at again.
                Ok(whose) => whose.by,
                Err(problem) => return problem.into_response(),
            };
            let _turn = state.gate.open_stream(whose).await;
            answer_within(WORK_TIMEOUT, next.run(request)).await
        };
        return opened.boxed().left_future();
    }
    let passes = passes_through(&request);
    let longest = longest(&request, passes, &state);
    let answers = state.answers.clone();
    let need = Need::of(request.method());
    // Boxed, so that its state is freed before the answer is waited for.
    let its_turn = take_turn(state, request, passes, need, next).boxed();
    let answered = async move {
        let (answer, by) = match its_turn.await {
            Ok((turn, answered)) => {
                let answer = match longest {
                    Some(longest) => answer_within(longest, answered).await,
                    None => answered.await,
                };
                (answer, turn.by())
            }
            Err(problem) => return problem.into_response(),
        };
        let kept = answers.keep(answer, by, need);
        kept.unwrap_or_else(|overload| refuse(overload).into_response())
    };
    answered.right_future()
}

/// Waits for a request's turn, and hands it on.
async fn take_turn(
    state: AppState,
    request: Request,
    passes: Passes,
    need: Need,
    next: Next,
) -> Result<(Turn, impl Future<Output = Response>), Problem> {
    let hash = hash_of_key(&request);
    let whose = tenant_of(hash, &state).await?;
    state.answers.let_in(whose.by, need).map_err(refuse)?;
    let body = Held {
        by: whose.by,
        bytes: body_bytes(&request, passes, &state),
    };
    let turn = state.gate.enter(body).await.map_err(refuse)?;
    note_turn(turn.handle(), turn.bytes());
    if let Some(found) = whose.found {
        note_found(found);
    }
    let request = request.map(|body| Body::new(Arriving::new(body, &turn, passes)));
    Ok((turn, hand_on(request, next)))
}

/// The longest that a request takes where the database answers. A file takes as long as it takes, in either direction, and what is
/// asked of the database then has bounds of its own.
fn longest(request: &Request, passes: Passes, state: &AppState) -> Option<Duration> {
    if passes != Passes::Nothing {
        return None;
    }
    let mut longest = WORK_TIMEOUT;
    if !http_body::Body::is_end_stream(request.body()) {
        longest += state.limits.request_timeout;
    }
    if may_wait(request) {
        longest += Duration::from_secs(MOST_SECONDS);
    }
    Some(longest)
}

/// Whoever asks without a timeout of its own does not wait for ever for a database whose host is gone. What else may have taken so
/// long is not known here, so nobody is told that the database was away.
async fn answer_within(longest: Duration, answered: impl Future<Output = Response>) -> Response {
    if let Ok(answer) = timeout(longest, answered).await {
        return answer;
    }
    tracing::warn!(
        longest_ms = whole_ms(longest),
        "A request was given up: it took longer than any does whose statements are answered"
    );
    let detail = "The request took too long and was given up; the gateway's log has it under this request id. Repeat it in \
                  a moment. With an Idempotency-Key, a repeated create is safe.";
    Problem::new(ProblemType::DatabaseUnavailable, detail)
        .with_retry_after(Duration::from_secs(5))
        .into_response()
}

/// What passes through with a request: where Gladia is waited for, to take audio or to give it, or a file comes.
fn passes_through(request: &Request) -> Passes {
    if media_type(request.headers()) == "multipart/form-data" {
        return Passes::File;
    }
    let route = route(request).trim_end_matches('/');
    if FILE_ROUTES.iter().any(|end| route.ends_with(end)) {
        return Passes::Audio;
    }
    Passes::Nothing
}

fn is_stream(request: &Request) -> bool {
    route(request).ends_with("/stream")
}

fn route(request: &Request) -> &str {
    let matched = request.extensions().get::<MatchedPath>();
    matched.map_or("", MatchedPath::as_str)
}

/// The hash of the key that a request comes with.
fn hash_of_key(request: &Request) -> Option<[u8; 32]> {
    let headers = request.headers();
    let key = if route(request).starts_with("/v2/") {
        v2::auth::presented(headers).ok()
    } else {
        presented(headers).ok()
    };
    Some(key?.hash())
}

/// Whose a key is, by which it is its turn. One that has not been seen here yet is looked up for that; what it is good for is judged
/// later. Where many look already, it goes on as nobody's.
///
/// # Errors
/// Where the database does not answer: the request would learn no more of it.
async fn tenant_of(hash: Option<[u8; 32]>, state: &AppState) -> Result<Whose, Problem> {
    let Some(hash) = hash else {
        return Ok(Whose::default());
    };
    let known = || {
        let by = Some(state.known_keys.get(&hash)?.tenant_id);
        Some(Whose { by, found: None })
    };
    if let Some(known) = known() {
        return Ok(known);
    }
    let Some(_turn) = state.gate.check_key().await else {
        return Ok(Whose::default());
    };
    // Another may have looked meanwhile.
    if let Some(known) = known() {
        return Ok(known);
    }
    let caller = find_caller_now(state, &hash).boxed().await?;
    Ok(Whose {
        by: caller.map(|caller| caller.tenant_id),
        found: Some(Found { hash, caller }),
    })
}

/// Whose a request is.
#[derive(Default)]
struct Whose {
    by: By,
    /// What was found out for that.
    found: Option<Found>,
}

/// What the body may come to take. Without a declared length, as much as it may have.
fn body_bytes(request: &Request, passes: Passes, state: &AppState) -> usize {
    // A file or audio request gives up its turn while it waits, so these bytes are what bounds their number, and a tenant's.
    let least = match passes {
        Passes::File => return FILE_BYTES,
        Passes::Audio => FILE_BYTES,
        Passes::Nothing => 0,
    };
    let limits = &state.limits;
    let most = match route(request) {
        "/v1/batches" => limits.max_batch_bytes,
        _ => limits.max_request_bytes,
    };
    let bytes = match content_length(request.headers()) {
        Some(declared) => usize::try_from(declared).map_or(most, |declared| declared.min(most)),
        None if http_body::Body::is_end_stream(request.body()) => 0,
        None => most,
    };
    bytes.max(least)
}

/// Takes room for what JSON becomes that stands in a form, whose other bytes are not counted.
///
/// # Errors
/// Where there is none.
pub fn make_room_for_part(json: &[u8]) -> Result<(), Problem> {
    let Some(held) = request_scope::body() else {
        return Ok(());
    };
    let made = Parsed::default().make_room(json, &held);
    made.map_err(|NoRoom| refuse(Overload::Bodies))
}

/// The problem where a body could not be read since there was no room for it.
#[must_use]
pub fn no_room_in(error: &axum::Error) -> Option<Problem> {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let is_full = causes.any(<dyn Error>::is::<NoRoom>);
    is_full.then(|| refuse(Overload::Bodies))
}

fn refuse(overload: Overload) -> Problem {
    let detail = match overload {
        Overload::Turns => {
            "More is asked of the gateway than it can do at the moment (MAX_REQUESTS_AT_ONCE). Nothing was done; repeat the \
             request after Retry-After."
        }
        Overload::Bodies => {
            "The requests that are under way have more in their bodies and files than the gateway may hold (MAX_BODY_MEMORY_BYTES), \
             or yours have more than that leaves free. Nothing was done; repeat the request after Retry-After."
        }
        Overload::Answers => {
            "The answers that callers are still taking have more in them than the gateway may hold (MAX_ANSWER_MEMORY_BYTES), \
             or yours have more than that leaves free. Nothing was done; take those to their ends, and repeat the request after \
             Retry-After."
        }
    };
    let seconds = rand::rng().random_range(1..=MOST_RETRY_AFTER);
    Problem::new(ProblemType::Overloaded, detail).with_retry_after(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use axum::{body::to_bytes, http::StatusCode};

    use super::*;

    #[tokio::test]
    async fn what_is_never_answered_is_answered_503_in_the_end() {
        let never = answer_within(Duration::from_millis(1), pending()).await;
        assert_eq!(never.status(), StatusCode::SERVICE_UNAVAILABLE);
        let problem = to_bytes(never.into_body(), 1000).await.unwrap();
        let problem = String::from_utf8_lossy(&problem);
        assert!(problem.contains("took too long"), "{problem}");
        let answered = answer_within(
            Duration::from_mins(1),
            ready(StatusCode::OK.into_response()),
        )
        .await;
        assert_eq!(answered.status(), StatusCode::OK);
    }
}
