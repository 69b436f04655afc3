//! Who makes a request below `/v2`: an API key of the gateway's, where Gladia's clients send theirs.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};

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
const HEADER: &str = "x-gladia-key";

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

const UNKNOWN: &str = "gladia user not found";

async fn authenticate(parts: &Parts, state: &AppState, needed: Scope) -> Result<Caller, V2Error> {
    let key = presented(&parts.headers)?;
    let caller = find_caller(state, &key, needed, UNKNOWN).await?;
    Ok(caller)
}

/// The key that a request came with.
///
/// # Errors
/// 401 where it came with none.
pub fn presented(headers: &HeaderMap) -> Result<ApiKey, Problem> {
    let unauthorized = |message: &str| Problem::new(ProblemType::Unauthorized, message);
    let header = headers
        .get(HEADER)
        .ok_or_else(|| unauthorized("no gladia key provided"))?;
    header
        .to_str()
        .map_err(|_| unauthorized(UNKNOWN))
        .map(|key| ApiKey::presented(key.trim()))
}
