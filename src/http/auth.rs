//! Who makes a request: `Authorization: Bearer` API keys.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

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

/// A caller who may look, unless the key was revoked.
pub struct PresumedReader(pub Presumed);

/// A caller who may create, unless the key was revoked.
pub struct PresumedWriter(pub Presumed);

impl FromRequestParts<AppState> for PresumedReader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        presume(parts, state, Scope::Read).await.map(Self)
    }
}

impl FromRequestParts<AppState> for PresumedWriter {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        presume(parts, state, Scope::Write).await.map(Self)
    }
}

/// Who came with a key that was good when it was last looked up. A key never changes but by being revoked, so whoever has one
/// statement to make can leave it to that to ask whether the key is still good.
#[derive(Debug)]
pub struct Presumed {
    caller: Caller,
    hash: [u8; 32],
}

impl Presumed {
    /// The caller, for a statement that does nothing where the key was revoked.
    #[must_use]
    pub fn caller(&self) -> Caller {
        self.caller
    }

    /// Looks the key up.
    ///
    /// # Errors
    /// 401 where it was revoked.
    pub async fn prove(&self, state: &AppState) -> Result<Caller, Problem> {
        look_up(state, &self.hash, UNKNOWN).await
    }
}

/// Keys that were found, by their hashes. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct KnownKeys(Arc<RwLock<HashMap<[u8; 32], Caller>>>);

/// How many are kept.
const MOST_KNOWN: usize = 10_000;

impl KnownKeys {
    fn get(&self, hash: &[u8; 32]) -> Option<Caller> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(hash).copied()
    }

    fn note(&self, hash: [u8; 32], caller: Option<Caller>) {
        if self.get(&hash).is_some() == caller.is_some() {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        match caller {
            Some(caller) => known.insert(hash, caller),
            None => known.remove(&hash),
        };
    }
}

const UNKNOWN: &str = "This API key is not known, or it was revoked.";

async fn presume(parts: &Parts, state: &AppState, needed: Scope) -> Result<Presumed, Problem> {
    let hash = presented(parts)?.hash();
    if let Some(caller) = state.known_keys.get(&hash)
        && caller.scope >= needed
    {
        return Ok(Presumed { caller, hash });
    }
    let caller = check(look_up(state, &hash, UNKNOWN).await?, needed)?;
    Ok(Presumed { caller, hash })
}

async fn authenticate(parts: &Parts, state: &AppState, needed: Scope) -> Result<Caller, Problem> {
    find_caller(state, &presented(parts)?, needed, UNKNOWN).await
}

/// The key that a request came with.
fn presented(parts: &Parts) -> Result<ApiKey, Problem> {
    let unauthorized = |detail: &str| Problem::new(ProblemType::Unauthorized, detail);
    let header = parts.headers.get(header::AUTHORIZATION).ok_or_else(|| {
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

async fn look_up(state: &AppState, hash: &[u8; 32], unknown: &str) -> Result<Caller, Problem> {
    let mut conn = state.pool.acquire().await?;
    let caller = db::api_keys::find_caller(&mut conn, hash).await?;
    state.known_keys.note(*hash, caller);
    caller.ok_or_else(|| Problem::new(ProblemType::Unauthorized, unknown))
}

fn check(caller: Caller, needed: Scope) -> Result<Caller, Problem> {
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
