//! Answers in the encoding that their caller prefers.
//!
//! What callers prefer is read by `tower_http`, which also encodes: `Accept-Encoding` with its weights, `*` and exclusions,
//! zstd before gzip where both are as welcome. A result is stored as zstd already, and goes out as it is stored, alone or
//! within its job ([`zstd_frame`](super::zstd_frame)); everything else that is text is encoded as it is sent.

use std::{
    collections::HashMap,
    convert::Infallible,
    future,
    sync::{LazyLock, PoisonError, RwLock},
};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Request},
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version, header, request::Parts},
    response::Response,
};
use futures_util::FutureExt;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_http::{
    CompressionLevel,
    compression::{
        Compression, CompressionLayer, Predicate,
        predicate::{And, SizeAbove},
    },
};

use crate::http::request::body::media_type;

/// Below this, an answer fits into one packet anyway.
const MIN_BYTES: u64 = 1024;

/// What values of `Accept-Encoding` have been read as. Clients send one of a few, and to have one read costs as much as a small
/// answer, since the library makes the encoder that it would use.
static KEPT: LazyLock<RwLock<HashMap<Box<[u8]>, Preferred>>> = LazyLock::new(RwLock::default);

/// How many of them are kept.
const MOST_KEPT: usize = 1000;

/// How long one of them may be.
const MOST_KEPT_BYTES: usize = 200;

/// Which encoding a caller prefers of those that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preferred {
    /// Plain text.
    Identity,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
    /// None of them, and plain text neither.
    Nothing,
}

impl Preferred {
    /// Reads `Accept-Encoding`.
    fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::ACCEPT_ENCODING).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Identity,
            (Some(value), None) if value.len() <= MOST_KEPT_BYTES => Self::of_kept(value),
            _ => Self::read(headers.get_all(header::ACCEPT_ENCODING)),
        }
    }

    /// As it was read before, if it was.
    fn of_kept(value: &HeaderValue) -> Self {
        let kept = KEPT.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(preferred) = kept.get(value.as_bytes()) {
            return *preferred;
        }
        drop(kept);
        let preferred = Self::read([value]);
        let mut kept = KEPT.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(value.as_bytes().into(), preferred);
        preferred
    }

    /// Has the library tell what it would do with an answer that is there at once. Nothing is encoded before somebody reads.
    fn read<'a>(values: impl IntoIterator<Item = &'a HeaderValue>) -> Self {
        let mut request = Request::new(());
        for value in values {
            request
                .headers_mut()
                .append(header::ACCEPT_ENCODING, value.clone());
        }
        let anything = service_fn(|_: Request<()>| {
            future::ready(Ok::<_, Infallible>(Response::new(Body::from("a"))))
        });
        let always = |_: StatusCode, _: Version, _: &HeaderMap, _: &Extensions| true;
        let asked = Compression::new(anything)
            .compress_when(always)
            .oneshot(request)
            .now_or_never();
        let Some(Ok(response)) = asked else {
            return Self::Identity;
        };
        if response.status() == StatusCode::NOT_ACCEPTABLE {
            return Self::Nothing;
        }
        match response.headers().get(header::CONTENT_ENCODING) {
            Some(encoding) if encoding == "zstd" => Self::Zstd,
            Some(_) => Self::Gzip,
            None => Self::Identity,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Preferred {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

/// Marks an answer that goes out as it is, whatever is in it: somebody else's file.
#[derive(Debug, Clone, Copy)]
pub struct AsItIs;

/// Encodes what routes answer.
pub fn compressed<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.layer(
        ServiceBuilder::new()
            .map_request(accept_something)
            // As fast as it gets: there are many answers, and the next hop is seldom slow.
            .layer(
                CompressionLayer::new()
                    .quality(CompressionLevel::Fastest)
                    .compress_when(worth_it()),
            ),
    )
}

/// A caller who takes nothing that there is gets plain text. To refuse it, as the library would once the request has been
/// carried out, would conceal what it has done.
fn accept_something(mut request: Request) -> Request {
    if Preferred::of(request.headers()) == Preferred::Nothing {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    request
}

/// Text of some length.
fn worth_it() -> And<SizeAbove, impl Predicate> {
    SizeAbove::new(MIN_BYTES).and(
        |_: StatusCode, _: Version, headers: &HeaderMap, extensions: &Extensions| {
            extensions.get::<AsItIs>().is_none() && is_text(headers)
        },
    )
}

fn is_text(headers: &HeaderMap) -> bool {
    let media_type = media_type(headers);
    media_type.starts_with("text/")
        || media_type.ends_with("+json")
        || matches!(
            media_type.as_str(),
            "application/json"
                | "application/javascript"
                | "application/x-subrip"
                | "image/svg+xml"
        )
}

#[cfg(test)]
mod tests {
    use super::{
        Preferred::{Gzip, Identity, Nothing, Zstd},
        *,
    };

    #[test]
    fn the_encoding_with_the_greatest_weight_is_preferred() {
        for (accepted, expected) in [
            (&[] as &[&str], Identity),
            (&[""], Identity),
            (&["gzip"], Gzip),
            (&["zstd"], Zstd),
            (&["GZIP"], Gzip),
            (&["br, deflate"], Identity),
            (&["gzip, deflate, br, zstd"], Zstd),
            (&["zstd, gzip"], Zstd),
            (&["gzip", "zstd"], Zstd),
            (&["gzip;q=1.0, zstd;q=0.5"], Gzip),
            (&["gzip;q=0.2, zstd; q=0.3"], Zstd),
            (&["zstd;q=0"], Identity),
            (&["zstd;q=0.000, gzip;q=0.001"], Gzip),
            (&["identity;q=1, zstd;q=0.5"], Identity),
            (&["*"], Zstd),
            (&["zstd;q=0, *"], Gzip),
            (&["gzip, *;q=0"], Gzip),
            (&["gzip;q=nonsense"], Identity),
            (&["*;q=0"], Nothing),
            (&["identity;q=0"], Nothing),
            (&["identity;q=0, br"], Nothing),
        ] {
            let mut headers = HeaderMap::new();
            for value in accepted {
                headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            // And once more, as it was kept.
            for _ in 0..2 {
                assert_eq!(Preferred::of(&headers), expected, "{accepted:?}");
            }
        }
    }

    #[test]
    fn what_is_kept_of_values_that_anybody_sends_is_bounded() {
        let accept = |value: String| {
            let mut headers = HeaderMap::new();
            headers.append(header::ACCEPT_ENCODING, value.parse().unwrap());
            assert_eq!(Preferred::of(&headers), Gzip);
        };
        accept(format!("gzip, x-{}", "x".repeat(MOST_KEPT_BYTES)));
        for number in 0..2 * MOST_KEPT {
            accept(format!("gzip, x-{number}"));
        }
        let kept = KEPT.read().unwrap();
        assert!(kept.len() <= MOST_KEPT);
        assert!(kept.keys().all(|value| value.len() <= MOST_KEPT_BYTES));
    }
}
