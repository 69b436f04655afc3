//! Where callers find what `/v2` tells them of: absolute addresses, since Gladia's clients follow them as they are.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use url::Url;

use crate::http::state::AppState;

/// The base of the links in an answer: `API_URL`, else the address that the request was sent to.
#[derive(Debug, Clone)]
pub struct Base(String);

impl Base {
    /// Where a path of the API is.
    #[must_use]
    pub fn link(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Where a job is.
    #[must_use]
    pub fn job(&self, id: impl std::fmt::Display) -> String {
        self.link(&format!("/v2/pre-recorded/{id}"))
    }
}

impl FromRequestParts<AppState> for Base {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let set = state.link("");
        Ok(Self(if set.is_empty() { asked(parts) } else { set }))
    }
}

/// The address that the request was sent to, as its caller and whatever ends TLS before the gateway name it.
fn asked(parts: &Parts) -> String {
    let text = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    // Of several proxies the first is the one that was asked.
    let schemes = text(header::HeaderName::from_static("x-forwarded-proto"));
    let scheme = schemes.and_then(|schemes| schemes.split(',').next());
    let is_https = scheme.is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"));
    let scheme = if is_https { "https" } else { "http" };
    // What is no host makes a link that leads nowhere but here.
    text(header::HOST)
        .and_then(|host| Url::parse(&format!("{scheme}://{host}")).ok())
        .map(|url| url.origin().ascii_serialization())
        .unwrap_or_default()
}
