//! Who makes a request: `Authorization: Bearer` API keys. Those who have one statement to make may be [`presumed`].

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};

use super::{
    problem::{Problem, ProblemType},
    request_scope::{self, note_caller},
    state::AppState,
};
use crate::{
    db,
    domain::access::{ApiKey, Caller, Scope},
};

pub mod presumed;

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

pub(super) const UNKNOWN: &str = "This API key is not known, or it was revoked.";

async fn authenticate(parts: &Parts, state: &AppState, needed: Scope) -> Result<Caller, Problem> {
    find_caller(state, &presented(&parts.headers)?, needed, UNKNOWN).await
}

/// The key that a request came with.
pub(super) fn presented(headers: &HeaderMap) -> Result<ApiKey, Problem> {
    let unauthorized = |detail: &str| Problem::new(ProblemType::Unauthorized, detail);
    let header = headers.get(header::AUTHORIZATION).ok_or_else(|| {
        unauthorized("Send an API key in the header Authorization: Bearer <key>.")
    })?;
    header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, key)| scheme.eq_ignore_ascii_case("bearer") && !key.trim().is_empty())
        .map(|(_, key)| ApiKey::presented(key.trim()))
        .ok_or_else(|| {
            unauthorized(
                "The header Authorization must hold the word Bearer, a space, and an API key, which is ASCII throughout.",
            )
        })
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
    check(look_up(state, &key.hash(), unknown).await?, needed)
}

pub(super) async fn look_up(
    state: &AppState,
    hash: &[u8; 32],
    unknown: &str,
) -> Result<Caller, Problem> {
    let caller = match request_scope::take_found(hash) {
        // To know whose turn it was.
        Some(found) => found.caller,
        None => find_caller_now(state, hash).await?,
    };
    if let Some(caller) = caller {
        note_caller(caller);
    }
    caller.ok_or_else(|| Problem::new(ProblemType::Unauthorized, unknown))
}

/// Asks the database whose key this is.
pub(super) async fn find_caller_now(
    state: &AppState,
    hash: &[u8; 32],
) -> Result<Option<Caller>, Problem> {
    let known = state.known_keys.get(hash);
    let by = known.map(|caller| caller.tenant_id);
    let mut conn = state.callers.acquire(by).await?;
    let looking = db::api_keys::find_caller(&mut conn, hash);
    let caller = db::pool::in_time(looking).await?;
    conn.put_back();
    state.known_keys.note(*hash, caller);
    Ok(caller)
}

pub(super) fn check(caller: Caller, needed: Scope) -> Result<Caller, Problem> {
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
