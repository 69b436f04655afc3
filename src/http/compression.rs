//! Answers in the encoding that their caller prefers.
//!
//! What callers prefer is read by `tower_http`, which also encodes: `Accept-Encoding` with its weights, `*` and exclusions,
//! zstd before gzip where both are as welcome. A result is stored as zstd already, and goes out as it is stored, alone or
//! within its job ([`zstd_frame`](super::zstd_frame)); everything else that is text is encoded as it is sent.

use std::{convert::Infallible, future};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Request},
    http::{Extensions, HeaderMap, StatusCode, Version, header, request::Parts},
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

/// Below this, an answer fits into one packet anyway.
const MIN_BYTES: u64 = 1024;

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
        // The most frequent case needs no reading.
        if !headers.contains_key(header::ACCEPT_ENCODING) {
            return Self::Identity;
        }
        let mut request = Request::new(());
        for value in headers.get_all(header::ACCEPT_ENCODING) {
            request
                .headers_mut()
                .append(header::ACCEPT_ENCODING, value.clone());
        }
        // The library tells what it would do with an answer that is there at once. Nothing is encoded before somebody reads.
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
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
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
    use axum::http::HeaderValue;

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
            assert_eq!(Preferred::of(&headers), expected, "{accepted:?}");
        }
    }
}
