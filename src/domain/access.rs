//! Who may do what: tenants, API keys and their scopes.

use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{
    ids::{ApiKeyId, TenantId},
    words::names,
};

/// What an API key may do. Each scope includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Look.
    Read,
    /// Create, cancel and delete transcriptions.
    Write,
    /// Operate the gateway.
    Admin,
}

names! {
    /// The name in SQL and on the command line.
    Scope:
    Read = "read",
    Write = "write",
    Admin = "admin",
}

/// Whoever made a request, proven by an API key.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// Whose jobs it sees.
    pub tenant_id: TenantId,
    /// With which key it came.
    pub api_key_id: ApiKeyId,
    /// What it may do.
    pub scope: Scope,
}

/// The name of a tenant: what operators type and metrics show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantName(String);

impl FromStr for TenantName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        if (1..=63).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a tenant's name is 1 to 63 of a-z, 0-9, '-', '_' and '.'")
        }
    }
}

impl TenantName {
    /// The tenant of `BOOTSTRAP_API_KEY`.
    #[must_use]
    pub fn default_tenant() -> Self {
        Self("default".to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An API key as callers send it.
#[derive(Debug, Clone)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// Makes a key of 32 random bytes. The prefix lets secret scanners find one that leaked.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
        Self(format!("ggw_{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)).into())
    }

    /// A key that somebody sent or configured.
    #[must_use]
    pub fn presented(text: &str) -> Self {
        Self(text.into())
    }

    /// What is stored and looked up. Looking up by hash leaves nothing to compare, so nothing to time.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret()).into()
    }

    /// The key itself, to be shown once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for ApiKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() >= 24 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self::presented(text))
        } else {
            Err(
                "must be at least 24 visible ASCII characters, for example from `openssl rand -hex 24`",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_include_the_lesser_ones() {
        assert!(Scope::Admin >= Scope::Write && Scope::Write >= Scope::Read);
        assert!(Scope::Read < Scope::Write);
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = ApiKey::from_random([7; 32]);
        assert!(!format!("{key:?}").contains(key.expose()));
        assert!(key.expose().starts_with("ggw_"));
    }

    #[test]
    fn tenant_names_are_plain() {
        assert!("acme-1.eu".parse::<TenantName>().is_ok());
        for bad in ["", "Acme", "a b", "a/b", &"a".repeat(64)] {
            assert!(bad.parse::<TenantName>().is_err(), "{bad}");
        }
    }
}
