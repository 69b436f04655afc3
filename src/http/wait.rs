//! Requests that wait for news: how long they want to, and how many may.
//!
//! `?wait=20` says it, or the header `Prefer: wait=20` (RFC 7240), which is answered with `Preference-Applied`. Whoever waits
//! holds a place in the [`WaitingRoom`] and one in the feed, leaves its turn to others, and holds no connection of the database's.

use std::{borrow::Cow, time::Duration};

use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    response::Response,
};
use url::form_urlencoded;

use super::{
    problem::{Problem, ProblemType},
    request::{
        query::{self, Taken},
        quoted::{split, unquoted},
    },
    request_scope,
    state::AppState,
};
use crate::{
    domain::{
        ids::TenantId,
        shares::{NoPlace, SharedPlace, Shares},
    },
    turns::Pause,
};

/// The longest wait, in seconds. Behind a load balancer that ends silent requests sooner, ask for less.
pub const MOST_SECONDS: u64 = 60;

/// When to ask again for what has not ended.
const RETRY_AFTER: Duration = Duration::from_secs(3);

/// When to come back where too many wait.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(5);

const PREFER: HeaderName = HeaderName::from_static("prefer");

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Bounds how many requests wait at once, and how many of one tenant. Clones are the same.
#[derive(Debug, Clone)]
pub struct WaitingRoom(Shares);

/// A place there. Given back when dropped, also where the caller hangs up.
#[derive(Debug)]
pub struct WaitingPlace {
    _place: SharedPlace,
    /// Whoever waits is not worked on.
    _pause: Option<Pause>,
}

impl WaitingRoom {
    /// A room for so many.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self(Shares::new(size))
    }

    /// Takes a place for the request that is being handled.
    ///
    /// # Errors
    /// 503 where there is none for this tenant.
    pub fn enter(&self, tenant_id: TenantId) -> Result<WaitingPlace, Problem> {
        let place = self.0.take(tenant_id).map_err(|none| {
            let detail = match none {
                NoPlace::Full => {
                    "As many requests wait for news here as may (MAX_WAITING_REQUESTS). Repeat this one in a moment, or \
                     without wait."
                }
                NoPlace::ShareTaken => {
                    "As many requests of your tenant wait for news here as may of one tenant: no more than there are places \
                     left of MAX_WAITING_REQUESTS. Repeat this one in a moment, or without wait."
                }
            };
            Problem::new(ProblemType::TooManyWaiting, detail).with_retry_after(FULL_RETRY_AFTER)
        })?;
        // What was parsed of the body is gone before anybody waits.
        if let Some(body) = request_scope::body() {
            body.forget_parsed();
        }
        Ok(WaitingPlace {
            _place: place,
            _pause: request_scope::pause(),
        })
    }

    /// How many wait.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken()
    }
}

/// How long a request wants to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It does not speak of it.
    Unasked,
    /// So long, says its query.
    Asked(Duration),
    /// So many seconds, says its header.
    Preferred(u64),
}

impl Wait {
    /// Reads the query, which holds nothing else, and the headers. The query wins.
    fn parse(query: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        let mut asked = None;
        let broken = query::read(query, |name, value| {
            if name != "wait" {
                return Err(query::unknown("wait"));
            }
            asked = Some(parse_seconds(value)?);
            Ok(Taken::Once)
        });
        broken.or(Self::of(asked, headers))
    }

    /// What the query asks for, where it does, else the headers.
    #[must_use]
    pub fn of(asked: Option<Duration>, headers: &HeaderMap) -> Self {
        let preferred = || preferred_seconds(headers).map_or(Self::Unasked, Self::Preferred);
        asked.map_or_else(preferred, Self::Asked)
    }

    /// How long at most.
    #[must_use]
    pub fn at_most(self) -> Duration {
        match self {
            Self::Unasked => Duration::ZERO,
            Self::Asked(time) => time,
            Self::Preferred(seconds) => Duration::from_secs(seconds),
        }
    }

    /// The same where there is no room to wait: nothing was heeded.
    #[must_use]
    pub fn declined(self) -> Self {
        match self {
            Self::Preferred(_) => Self::Asked(Duration::ZERO),
            other => other,
        }
    }

    /// Says in an answer which preference was heeded, and when to ask again for what has not ended.
    pub fn mark(self, response: &mut Response, has_ended: bool) {
        if self == Self::Unasked {
            return;
        }
        let headers = response.headers_mut();
        if let Self::Preferred(seconds) = self
            && let Ok(applied) = HeaderValue::try_from(format!("wait={seconds}"))
        {
            headers.insert(PREFERENCE_APPLIED, applied);
        }
        if !has_ended {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER.as_secs().into());
        }
    }
}

impl FromRequestParts<AppState> for Wait {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        Self::parse(parts.uri.query(), &parts.headers)
    }
}

/// Whether a request may be one that waits for news.
#[must_use]
pub fn may_wait(request: &Request) -> bool {
    in_query(request).is_some() || request.headers().contains_key(PREFER)
}

/// Whether a request asks to wait for news, whatever else it asks. Nobody waits whose wish breaks a rule.
#[must_use]
pub fn is_asked_for(request: &Request) -> bool {
    let asked = in_query(request).map(|value| parse_seconds(&value));
    let asked = asked.transpose();
    asked.is_ok_and(|asked| !Wait::of(asked, request.headers()).at_most().is_zero())
}

/// The first `wait` of a query, in which others may stand.
fn in_query(request: &Request) -> Option<Cow<'_, str>> {
    let query = request.uri().query().unwrap_or_default();
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    parameters
        .find(|(name, _)| name == "wait")
        .map(|(_, value)| value)
}

/// Parses the query parameter `wait`. The error is its rule.
///
/// # Errors
/// Where it breaks its rule.
pub fn parse_seconds(value: &str) -> Result<Duration, String> {
    whole(value)
        .filter(|seconds| *seconds <= MOST_SECONDS)
        .map(Duration::from_secs)
        .ok_or_else(|| format!("must be a whole number of seconds from 0 to {MOST_SECONDS}"))
}

/// Digits alone. What is too large to be counted is very large.
fn whole(value: &str) -> Option<u64> {
    let is_whole = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    is_whole.then(|| value.parse().unwrap_or(u64::MAX))
}

/// The preference `wait`, no more than may be. One that cannot be understood is none, and of several the first counts
/// (RFC 7240, section 2).
fn preferred_seconds(headers: &HeaderMap) -> Option<u64> {
    let lists = headers.get_all(PREFER).iter();
    let value = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| split(list, ','))
        // Parameters of a preference say nothing here.
        .filter_map(|preference| split(preference, ';').next())
        .find_map(|preference| {
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            name.trim()
                .eq_ignore_ascii_case("wait")
                .then_some(value.trim())
        })?;
    Some(whole(unquoted(value).unwrap_or(value))?.min(MOST_SECONDS))
}

/// How many bytes are held for as long as what this does is waited for.
#[cfg(test)]
#[must_use]
pub fn held_by<Asked, Done>(_: impl FnOnce(Asked) -> Done) -> usize {
    size_of::<Done>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferring(lists: &[&str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append(PREFER, HeaderValue::from_bytes(list.as_bytes()).unwrap());
        }
        preferred_seconds(&headers)
    }

    #[test]
    fn the_preference_is_found_among_others() {
        for (lists, seconds) in [
            (&["wait=10"][..], 10),
            (&["Wait = 10"], 10),
            (&["WAIT=\"10\""], 10),
            (&["respond-async, wait=10"], 10),
            (&["respond-async;wait=5, wait=10; a=b"], 10),
            (&["foo=\"wait=3, wait=4\", wait=10"], 10),
            (&["foo=\"\\\", wait=3\", wait=10"], 10),
            (&["handling=lenient", "wait=10"], 10),
            (&["wait=10, wait=20", "wait=30"], 10),
            (&["wait=0"], 0),
            (&["wait=60"], 60),
            (&["wait=61"], 60),
            (&["wait=99999999999999999999999"], 60),
        ] {
            assert_eq!(preferring(lists), Some(seconds), "{lists:?}");
        }
        for lists in [
            &[][..],
            &[""],
            &["respond-async"],
            &["wait"],
            &["wait="],
            &["wait=soon"],
            &["wait=-1"],
            &["wait=+1"],
            &["wait=1.5"],
            &["wait=1 0"],
            &["wait=\"10"],
            &["waiting=10"],
            &["foo=\"wait=10"],
            &["wait=soon, wait=10"],
            &["é"],
        ] {
            assert_eq!(preferring(lists), None, "{lists:?}");
        }
    }

    #[test]
    fn the_query_wins_and_is_held_to_its_rule() {
        let headers: HeaderMap = [(PREFER, HeaderValue::from_static("wait=10"))]
            .into_iter()
            .collect();
        let asked = |query: &str| Wait::parse(Some(query), &headers);
        assert_eq!(asked("").unwrap(), Wait::Preferred(10));
        assert_eq!(
            asked("wait=7").unwrap(),
            Wait::Asked(Duration::from_secs(7))
        );
        assert_eq!(asked("wait=0").unwrap(), Wait::Asked(Duration::ZERO));
        for query in [
            "wait=",
            "wait=61",
            "wait=-1",
            "wait=+1",
            "wait=1.5",
            "wait=a",
            "wait=1&wait=1",
            "a=1&wait=7",
        ] {
            assert!(asked(query).is_err(), "{query}");
        }
    }
}
