//! Who makes a request below `/v2`: an API key of the gateway's, where Gladia's clients send theirs.

use axum::{extract::FromRequestParts, http::request::Parts};

use super::error::V2Error;
use crate::{
    domain::access::{ApiKey, Caller, Scope},
    http::{
        auth::find_caller,
        problem::{Problem, ProblemType},
        state::AppState,
    },
};

/// The header.
pub const HEADER: &str = "x-gladia-key";

/// A caller who may look.
pub struct KeyedReader(pub Caller);

/// A caller who may create and delete.
pub struct KeyedWriter(pub Caller);

impl FromRequestParts<AppState> for KeyedReader {
    type Rejection = V2Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, V2Error> {
        authenticate(parts, state, Scope::Read).await.map(Self)
    }
}

impl FromRequestParts<AppState> for KeyedWriter {
    type Rejection = V2Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, V2Error> {
        authenticate(parts, state, Scope::Write).await.map(Self)
    }
}

async fn authenticate(parts: &Parts, state: &AppState, needed: Scope) -> Result<Caller, V2Error> {
    let unauthorized = |message: &str| Problem::new(ProblemType::Unauthorized, message);
    let header = parts
        .headers
        .get(HEADER)
        .ok_or_else(|| unauthorized("no gladia key provided"))?;
    let unknown = "gladia user not found";
    let key = header
        .to_str()
        .map_err(|_| unauthorized(unknown))
        .map(|key| ApiKey::presented(key.trim()))?;
    let caller = find_caller(state, &key, needed, unknown).await?;
    Ok(caller)
}
