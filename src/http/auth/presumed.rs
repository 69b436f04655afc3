//! Who makes a request, by what is known already: spares those a look-up who have one statement to make, which can ask by itself
//! whether the key is still good.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{extract::FromRequestParts, http::request::Parts};

use super::{UNKNOWN, check, find_caller_now, look_up, presented};
use crate::{
    domain::access::{Caller, Scope},
    http::{
        problem::{Problem, ProblemType},
        request_scope::note_caller,
        state::AppState,
    },
};

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

    /// Looks the key up, as it is now: what was found out at the beginning of the request may be long ago.
    ///
    /// # Errors
    /// 401 where it was revoked.
    pub async fn prove(&self, state: &AppState) -> Result<Caller, Problem> {
        let caller = find_caller_now(state, &self.hash).await?;
        caller.ok_or_else(|| Problem::new(ProblemType::Unauthorized, UNKNOWN))
    }
}

/// Keys that were found, by their hashes. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct KnownKeys(Arc<RwLock<HashMap<[u8; 32], Caller>>>);

/// How many are kept.
const MOST_KNOWN: usize = 10_000;

impl KnownKeys {
    /// Whose key this was when it was last looked up.
    pub(in crate::http) fn get(&self, hash: &[u8; 32]) -> Option<Caller> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(hash).copied()
    }

    /// Notes what a look-up has found.
    pub(in crate::http) fn note(&self, hash: [u8; 32], caller: Option<Caller>) {
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

async fn presume(parts: &Parts, state: &AppState, needed: Scope) -> Result<Presumed, Problem> {
    let hash = presented(&parts.headers)?.hash();
    if let Some(caller) = state.known_keys.get(&hash)
        && caller.scope >= needed
    {
        note_caller(caller);
        return Ok(Presumed { caller, hash });
    }
    let caller = check(look_up(state, &hash, UNKNOWN).await?, needed)?;
    Ok(Presumed { caller, hash })
}
