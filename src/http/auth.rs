//! Who makes a request: `Authorization: Bearer` API keys.

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};

use super::{
    problem::{Problem, ProblemType},
    state::AppState,
};
use crate::{
    db,
    domain::access::{ApiKey, Caller, Scope},
};

/// A caller who may look.
pub struct Reader(pub Caller);

/// A caller who may create, cancel and delete.
pub struct Writer(pub Caller);

/// Whoever runs the gateway. Sees the matters of all tenants.
pub struct Admin(pub Caller);

impl FromRequestParts<AppState> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        authenticate(parts, state, Scope::Read).await.map(Self)
    }
}

impl FromRequestParts<AppState> for Writer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        authenticate(parts, state, Scope::Write).await.map(Self)
    }
}

impl FromRequestParts<AppState> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        authenticate(parts, state, Scope::Admin).await.map(Self)
    }
}

async fn authenticate(parts: &Parts, state: &AppState, needed: Scope) -> Result<Caller, Problem> {
    let unauthorized = |detail: &str| Problem::new(ProblemType::Unauthorized, detail);
    let header = parts.headers.get(header::AUTHORIZATION).ok_or_else(|| {
        unauthorized("Send an API key in the header Authorization: Bearer <key>.")
    })?;
    let key = header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, key)| scheme.eq_ignore_ascii_case("bearer") && !key.trim().is_empty())
        .map(|(_, key)| ApiKey::presented(key.trim()))
        .ok_or_else(|| {
            unauthorized(
                "The header Authorization must hold the word Bearer, a space, and an API key, which is ASCII throughout.",
            )
        })?;
    let unknown = "This API key is not known, or it was revoked.";
    find_caller(state, &key, needed, unknown).await
}

/// Finds whose key this is, and whether it is enough.
///
/// # Errors
/// 401 with `unknown` as its detail where it is nobody's, 403 where its scope is too small.
pub async fn find_caller(
    state: &AppState,
    key: &ApiKey,
    needed: Scope,
    unknown: &str,
) -> Result<Caller, Problem> {
    let mut conn = state.pool.acquire().await?;
    let caller = db::api_keys::find_caller(&mut conn, &key.hash())
        .await?
        .ok_or_else(|| Problem::new(ProblemType::Unauthorized, unknown))?;
    if caller.scope < needed {
        return Err(Problem::new(
            ProblemType::Forbidden,
            format!(
                "This needs an API key of scope {needed}; this key's scope is {}.",
                caller.scope
            ),
        ));
    }
    Ok(caller)
}
