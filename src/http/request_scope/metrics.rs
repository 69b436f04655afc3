//! What is counted of each request.
//!
//! To ask the recorder for a counter by its labels makes a key of them each time, and hashes it: as much work as a small answer.
//! So what it has given is kept, by route; there are no more of those than there are time series.

use std::{
    collections::HashMap,
    sync::{LazyLock, PoisonError, RwLock},
    time::Duration,
};

use metrics::{Counter, Histogram};

/// What the recorder has given for a route, which has few methods and statuses.
#[derive(Default)]
struct OfRoute {
    requests: Vec<((&'static str, u16), Counter)>,
    durations: Vec<((&'static str, bool), Histogram)>,
}

static KEPT: LazyLock<RwLock<HashMap<Box<str>, OfRoute>>> = LazyLock::new(RwLock::default);

/// Counts an answer to a request of this method to this route, and how long it took. What requests take that are to wait says
/// nothing of the others.
pub(super) fn note(method: &'static str, route: &str, status: u16, waits: bool, elapsed: Duration) {
    let note = |requests: &Counter, durations: &Histogram| {
        requests.increment(1);
        durations.record(elapsed.as_secs_f64());
    };
    let kept = KEPT.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(of_route) = kept.get(route)
        && let Some(requests) = find(&of_route.requests, &(method, status))
        && let Some(durations) = find(&of_route.durations, &(method, waits))
    {
        return note(requests, durations);
    }
    drop(kept);
    let requests = metrics::counter!(
        "gateway_http_requests_total",
        "method" => method, "route" => route.to_owned(), "status" => status.to_string(),
    );
    let durations = metrics::histogram!(
        "gateway_http_request_duration_seconds",
        "method" => method, "route" => route.to_owned(), "waits" => if waits { "true" } else { "false" },
    );
    note(&requests, &durations);
    let mut kept = KEPT.write().unwrap_or_else(PoisonError::into_inner);
    let of_route = kept.entry(route.into()).or_default();
    keep(&mut of_route.requests, (method, status), requests);
    keep(&mut of_route.durations, (method, waits), durations);
}

fn find<'a, K: PartialEq, T>(kept: &'a [(K, T)], key: &K) -> Option<&'a T> {
    let (_, found) = kept.iter().find(|(kept, _)| kept == key)?;
    Some(found)
}

fn keep<K: PartialEq, T>(kept: &mut Vec<(K, T)>, key: K, given: T) {
    if find(kept, &key).is_none() {
        kept.push((key, given));
    }
}
