//! Signing secrets, encrypted: whoever reads the tables, or a backup of them, can sign nothing.
//!
//! AES-256-GCM with random nonces. The id of the secret's row and of its owners are authenticated along, so a row whose secret
//! was copied from another one does not open.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
};

use super::message::SigningSecret;
use crate::domain::{
    ids::{EndpointId, SecretId, TenantId},
    signing_secret::StoredSecret,
};

/// Keeps these apart from anything else that the same key might ever seal.
const CONTEXT: &[u8] = b"gladia-gateway signing secret v1\0";

/// Seals and opens secrets. Clones are the same.
#[derive(Clone)]
pub struct Sealer(Arc<Keys>);

struct Keys {
    /// The one that seals.
    first: SealingKey,
    others: Vec<SealingKey>,
}

struct SealingKey {
    id: String,
    key: RandomizedNonceKey,
}

impl SealingKey {
    fn new((id, bytes): (String, [u8; 32])) -> Result<Self, SealError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(SealError::from)?;
        Ok(Self { id, key })
    }
}

impl Sealer {
    /// A sealer of these keys, each with its name. The first seals, all open.
    ///
    /// # Errors
    /// Where there is none.
    pub fn new(keys: Vec<(String, [u8; 32])>) -> Result<Self, SealError> {
        let mut keys = keys.into_iter().map(SealingKey::new);
        let first = keys.next().ok_or(SealError::NoKey)??;
        let others = keys.collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Keys { first, others })))
    }

    /// The name of the key that seals.
    #[must_use]
    pub fn first_key_id(&self) -> &str {
        &self.0.first.id
    }

    /// Whether there is a key of this name.
    #[must_use]
    pub fn contains(&self, key_id: &str) -> bool {
        self.find(key_id).is_some()
    }

    /// Seals a secret for its row. Without an endpoint it is the tenant's.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn seal(
        &self,
        id: SecretId,
        tenant_id: TenantId,
        endpoint_id: Option<EndpointId>,
        secret: &SigningSecret,
    ) -> Result<StoredSecret, SealError> {
        let SealingKey { id: key_id, key } = &self.0.first;
        let mut text = secret.0.clone();
        let row = Aad::from(row(id, tenant_id, endpoint_id));
        let nonce = key.seal_in_place_append_tag(row, &mut text)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut text);
        Ok(StoredSecret {
            id,
            tenant_id,
            endpoint_id,
            key_id: key_id.clone(),
            sealed,
        })
    }

    /// Opens a sealed secret.
    ///
    /// # Errors
    /// Where its key is missing, or it was sealed for another row, or was changed since.
    pub fn open(&self, stored: &StoredSecret) -> Result<SigningSecret, OpenError> {
        let wrong = || OpenError::Wrong(stored.key_id.clone());
        let key = self
            .find(&stored.key_id)
            .ok_or_else(|| OpenError::NoSuchKey(stored.key_id.clone()))?;
        let (nonce, sealed) = stored
            .sealed
            .split_first_chunk::<NONCE_LEN>()
            .ok_or_else(wrong)?;
        let mut sealed = sealed.to_vec();
        let row = row(stored.id, stored.tenant_id, stored.endpoint_id);
        let opened = key
            .open_in_place(Nonce::from(nonce), Aad::from(row), &mut sealed)
            .map_err(|_| wrong())?;
        Ok(SigningSecret(opened.to_vec()))
    }

    fn find(&self, key_id: &str) -> Option<&RandomizedNonceKey> {
        std::iter::once(&self.0.first)
            .chain(&self.0.others)
            .find(|key| key.id == key_id)
            .map(|key| &key.key)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

/// What a secret's row is known by.
fn row(id: SecretId, tenant_id: TenantId, endpoint_id: Option<EndpointId>) -> Vec<u8> {
    let mut row = CONTEXT.to_vec();
    row.extend(id.0.as_bytes());
    row.extend(tenant_id.0.as_bytes());
    if let Some(endpoint_id) = endpoint_id {
        row.extend(endpoint_id.0.as_bytes());
    }
    row
}

/// Why nothing can be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// There is no key.
    #[error("there is no key to encrypt signing secrets with")]
    NoKey,
    /// The library does not say more.
    #[error("signing secrets cannot be encrypted")]
    Failed,
}

impl From<Unspecified> for SealError {
    fn from(_: Unspecified) -> Self {
        Self::Failed
    }
}

/// Why a secret stays closed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its key is not there.
    #[error("there is no key `{0}`, with which a signing secret is encrypted")]
    NoSuchKey(String),
    /// The key does not open it.
    #[error(
        "the key `{0}` does not decrypt a signing secret: it is another key than before, or the row was changed"
    )]
    Wrong(String),
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn sealer(ids: &[(&str, u8)]) -> Sealer {
        let keys = ids.iter().map(|(id, byte)| ((*id).to_owned(), [*byte; 32]));
        Sealer::new(keys.collect()).unwrap()
    }

    fn secret() -> SigningSecret {
        SigningSecret::from_random([9; 32])
    }

    fn seal(sealer: &Sealer) -> StoredSecret {
        let ids = [1, 2, 3].map(Uuid::from_u128);
        let endpoint_id = Some(EndpointId(ids[2]));
        sealer
            .seal(SecretId(ids[0]), TenantId(ids[1]), endpoint_id, &secret())
            .unwrap()
    }

    #[test]
    fn what_is_sealed_opens_and_looks_different_each_time() {
        let sealer = sealer(&[("a", 1)]);
        let (one, other) = (seal(&sealer), seal(&sealer));
        assert_ne!(one.sealed, other.sealed);
        for stored in [&one, &other] {
            assert_eq!(stored.key_id, "a");
            assert_eq!(sealer.open(stored).unwrap().0, secret().0);
            assert!(!stored.sealed.windows(4).any(|bytes| bytes == [9; 4]));
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let old = seal(&sealer(&[("a", 1)]));
        let rotated = sealer(&[("b", 2), ("a", 1)]);
        assert_eq!(rotated.open(&old).unwrap().0, secret().0);
        assert_eq!(seal(&rotated).key_id, "b");
        let removed = sealer(&[("b", 2)]).open(&old);
        assert!(matches!(removed, Err(OpenError::NoSuchKey(id)) if id == "a"));
        let replaced = sealer(&[("a", 2)]).open(&old);
        assert!(matches!(replaced, Err(OpenError::Wrong(id)) if id == "a"));
    }

    #[test]
    fn a_secret_opens_in_its_own_row_alone() {
        let sealer = sealer(&[("a", 1)]);
        let stored = seal(&sealer);
        let other = Uuid::from_u128(7);
        for moved in [
            StoredSecret {
                id: other.into(),
                ..stored.clone()
            },
            StoredSecret {
                tenant_id: other.into(),
                ..stored.clone()
            },
            StoredSecret {
                endpoint_id: Some(other.into()),
                ..stored.clone()
            },
            StoredSecret {
                endpoint_id: None,
                ..stored.clone()
            },
        ] {
            assert!(sealer.open(&moved).is_err());
        }
    }

    #[test]
    fn what_was_changed_or_cut_does_not_open() {
        let sealer = sealer(&[("a", 1)]);
        let stored = seal(&sealer);
        for place in 0..stored.sealed.len() {
            let mut changed = stored.clone();
            changed.sealed[place] ^= 1;
            assert!(sealer.open(&changed).is_err(), "{place}");
            changed.sealed.truncate(place);
            assert!(sealer.open(&changed).is_err(), "{place}");
        }
    }

    #[test]
    fn a_sealer_has_a_key() {
        assert!(matches!(Sealer::new(Vec::new()), Err(SealError::NoKey)));
    }
}
