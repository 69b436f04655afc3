//! Who a callback is from.
//!
//! Gladia does not sign per-request callbacks. So the callback's address is itself the credential: it names the attempt
//! and carries an HMAC over the attempt's id, which nobody can compute without one of `CALLBACK_KEYS`. The address must
//! never reach a log or a response.

use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use url::Url;
use uuid::Uuid;

use crate::domain::ids::AttemptId;

/// Keeps these tokens apart from anything else that the same secret might ever sign.
const CALLBACK: &[u8] = b"gladia-gateway callback v1\0";

/// The same for the gateway's calls of its own address, which no attempt may be completed by.
const CANARY: &[u8] = b"gladia-gateway canary v1\0";

/// The same for the answers to those: whoever only passes a call on cannot give one.
const CANARY_ANSWER: &[u8] = b"gladia-gateway canary answer v1\0";

/// The same for keys that are derived from the secret, with which others encrypt.
const SEALING: &[u8] = b"gladia-gateway sealing v1\0";

/// Shorter secrets could be guessed.
const MIN_SECRET_LENGTH: usize = 32;

/// One secret with its name.
#[derive(Clone)]
struct CallbackKey {
    id: String,
    /// Keyed where the secret is read, so that nothing is ever signed without it: anybody could sign so.
    keyed: Hmac<Sha256>,
}

impl CallbackKey {
    fn mac(&self, context: &[u8]) -> Hmac<Sha256> {
        self.keyed.clone().chain_update(context)
    }

    /// The key's name and the tag, as they stand in an address.
    fn token(&self, context: &[u8], id: Uuid) -> String {
        let tag = self.mac(context).chain_update(id).finalize().into_bytes();
        format!("{}.{}", self.id, BASE64_URL_SAFE_NO_PAD.encode(tag))
    }
}

/// The secrets that sign callback addresses: the first signs, all verify. To rotate: add a new one everywhere, then put
/// it first, and remove the old one once no attempt needs it.
#[derive(Clone)]
pub struct CallbackKeys(Vec<CallbackKey>);

impl CallbackKeys {
    /// The key that signs.
    #[must_use]
    pub fn signing_key_id(&self) -> &str {
        &self.0[0].id
    }

    /// Whether a key of this name is configured.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// Keys to encrypt with, one of each secret, by their names: the first encrypts, all decrypt. Nothing that a secret signs
    /// tells its key.
    #[must_use]
    pub fn derive_sealing_keys(&self) -> Vec<(String, [u8; 32])> {
        self.0
            .iter()
            .map(|key| {
                let derived = key.mac(SEALING).finalize().into_bytes();
                (key.id.clone(), derived.into())
            })
            .collect()
    }

    /// The address that Gladia is to call for an attempt.
    #[must_use]
    pub fn callback_url(&self, public_url: &Url, attempt: AttemptId) -> Url {
        address(public_url, attempt.0, &self.0[0].token(CALLBACK, attempt.0))
    }

    /// An address of the same shape, which leads the same way and names no attempt.
    #[must_use]
    pub fn canary_url(&self, public_url: &Url, nonce: Uuid) -> Url {
        address(public_url, nonce, &self.0[0].token(CANARY, nonce))
    }

    /// The answer to a call of such an address, where the token is one.
    #[must_use]
    pub fn answer_canary(&self, nonce: Uuid, token: &str) -> Option<String> {
        let key = self.find_signer(CANARY, nonce, token)?;
        Some(key.token(CANARY_ANSWER, nonce))
    }

    /// Whether an answer comes from somebody who knows the key that signed the call.
    #[must_use]
    pub fn is_canary_answer(&self, nonce: Uuid, answer: &str) -> bool {
        self.find_signer(CANARY_ANSWER, nonce, answer).is_some()
    }

    /// Whether a token is the one of this attempt. Its tag is compared in constant time; a token of another form, or of an unknown
    /// key, is refused before that.
    #[must_use]
    pub fn verify(&self, attempt: AttemptId, token: &str) -> bool {
        self.find_signer(CALLBACK, attempt.0, token).is_some()
    }

    /// The key that has signed a token.
    fn find_signer(&self, context: &[u8], id: Uuid, token: &str) -> Option<&CallbackKey> {
        let (key_id, tag) = token.split_once('.')?;
        let key = self.0.iter().find(|key| key.id == key_id)?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
        key.mac(context)
            .chain_update(id)
            .verify_slice(&tag)
            .is_ok()
            .then_some(key)
    }
}

/// The address that callbacks come by.
fn address(public_url: &Url, id: Uuid, token: &str) -> Url {
    let mut url = public_url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty()
            .extend(["callbacks", "gladia", &id.to_string(), token]);
    }
    url
}

impl FromStr for CallbackKeys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut keys: Vec<CallbackKey> = Vec::new();
        for entry in text.split(',').map(str::trim) {
            let (id, secret) = entry
                .split_once(':')
                .ok_or("each key must be a name and a secret with a colon between them")?;
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if id.is_empty() || id.len() > 32 || !id.chars().all(plain) {
                return Err("a key's name must be 1 to 32 letters, digits, '-' or '_'".into());
            }
            if secret.len() < MIN_SECRET_LENGTH {
                return Err(format!(
                    "the secret of key `{id}` must be at least {MIN_SECRET_LENGTH} characters long"
                ));
            }
            if keys.iter().any(|key| key.id == id) {
                return Err(format!("the key name `{id}` stands there twice"));
            }
            let keyed = Hmac::new_from_slice(secret.as_bytes())
                .map_err(|error| format!("the secret of key `{id}` makes no key: {error}"))?;
            keys.push(CallbackKey {
                id: id.to_owned(),
                keyed,
            });
        }
        Ok(Self(keys))
    }
}

impl fmt::Debug for CallbackKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|key| &key.id))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const OLD: &str = "old:0123456789abcdef0123456789abcdef";
    const NEW: &str = "new:fedcba9876543210fedcba9876543210";

    fn token(keys: &CallbackKeys, attempt: AttemptId) -> String {
        let url = keys.callback_url(&"https://gateway.example/base".parse().unwrap(), attempt);
        assert!(url.path().starts_with("/base/callbacks/gladia/"), "{url}");
        url.path_segments().unwrap().next_back().unwrap().to_owned()
    }

    #[test]
    fn a_token_is_valid_for_its_attempt_alone() {
        let keys: CallbackKeys = OLD.parse().unwrap();
        let (mine, other) = (AttemptId(Uuid::from_u128(1)), AttemptId(Uuid::from_u128(2)));
        let token = token(&keys, mine);
        assert!(keys.verify(mine, &token));
        assert!(!keys.verify(other, &token));
        for bad in [
            "",
            ".",
            "old.",
            "old.AAAA",
            "nobody.AAAA",
            &token[..token.len() - 1],
            &format!("{token}A"),
        ] {
            assert!(!keys.verify(mine, bad), "{bad}");
        }
    }

    #[test]
    fn the_first_key_signs_and_all_verify() {
        let attempt = AttemptId(Uuid::from_u128(1));
        let old_token = token(&OLD.parse().unwrap(), attempt);
        let rotated: CallbackKeys = format!("{NEW},{OLD}").parse().unwrap();
        assert_eq!(rotated.signing_key_id(), "new");
        assert!(rotated.verify(attempt, &old_token));
        let removed: CallbackKeys = NEW.parse().unwrap();
        assert!(!removed.verify(attempt, &old_token));
    }

    #[test]
    fn no_token_passes_for_one_of_another_purpose() {
        let keys: CallbackKeys = OLD.parse().unwrap();
        let id = Uuid::from_u128(1);
        let url = keys.canary_url(&"https://gateway.example".parse().unwrap(), id);
        let canary = url.path_segments().unwrap().next_back().unwrap();
        let callback = token(&keys, AttemptId(id));
        let answer = keys.answer_canary(id, canary).unwrap();
        assert!(keys.is_canary_answer(id, &answer));
        for other in [canary, &answer] {
            assert!(!keys.verify(AttemptId(id), other), "{other}");
        }
        for other in [&callback, &answer] {
            assert_eq!(keys.answer_canary(id, other), None);
        }
        for other in [&callback, canary] {
            assert!(!keys.is_canary_answer(id, other), "{other}");
        }
        assert!(!keys.is_canary_answer(Uuid::from_u128(2), &answer));
        let others: CallbackKeys = NEW.parse().unwrap();
        assert_eq!(others.answer_canary(id, canary), None);
    }

    #[test]
    fn a_sealing_key_is_its_secret_s_alone_and_always_the_same() {
        let keys: CallbackKeys = format!("{NEW},{OLD}").parse().unwrap();
        let derived = keys.derive_sealing_keys();
        let names: Vec<_> = derived.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(names, ["new", "old"]);
        assert_ne!(derived[0].1, derived[1].1);
        let alone = OLD.parse::<CallbackKeys>().unwrap().derive_sealing_keys();
        assert_eq!(alone[0], derived[1]);
        // What is sealed has to be opened by later versions.
        let start = u32::from_be_bytes(*alone[0].1.first_chunk().unwrap());
        assert_eq!(start, 0x892a_bc1d);
    }

    #[test]
    fn weak_or_doubled_keys_are_refused() {
        for bad in [
            "",
            "k",
            "k:",
            "k:short",
            ":0123456789abcdef0123456789abcdef",
            &format!("{OLD},{OLD}"),
            &format!("{OLD},"),
        ] {
            assert!(bad.parse::<CallbackKeys>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        let keys: CallbackKeys = OLD.parse().unwrap();
        assert_eq!(format!("{keys:?}"), r#"["old"]"#);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn nothing_but_the_right_token_verifies(
            attempt in any::<u128>(),
            flipped_bit in any::<prop::sample::Index>(),
            cut in any::<prop::sample::Index>(),
            other_bit in 0..128_u32,
            added in "\\PC{1,20}",
            made_up in "(old|new|[a-z]{0,4})[.]?[A-Za-z0-9_-]{0,60}",
        ) {
            let keys: CallbackKeys = format!("{OLD},{NEW}").parse().unwrap();
            let attempt = AttemptId(Uuid::from_u128(attempt));
            let right = token(&keys, attempt);
            prop_assert!(keys.verify(attempt, &right));

            // Another attempt, another key, another key's name.
            let other = AttemptId(Uuid::from_u128(attempt.0.as_u128() ^ (1 << other_bit)));
            prop_assert!(!keys.verify(other, &right));
            let only_new: CallbackKeys = NEW.parse().unwrap();
            prop_assert!(!only_new.verify(attempt, &right));
            let tag = right.strip_prefix("old.").unwrap();
            let renamed = format!("new.{tag}");
            prop_assert!(!keys.verify(attempt, &renamed));

            // Changed in one bit, cut, lengthened, made up.
            let mut bytes = right.clone().into_bytes();
            let bit = flipped_bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let cut = &right[..cut.index(right.len())];
            let flipped = String::from_utf8_lossy(&bytes).into_owned();
            let longer = [format!("{right}{added}"), format!("{added}{right}")];
            for wrong in [cut, &flipped, &made_up, &longer[0], &longer[1]] {
                prop_assert!(!keys.verify(attempt, wrong), "{}", wrong);
            }

            // The same secret over the same id in any other context.
            let (_, secret) = OLD.split_once(':').unwrap();
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
            mac.update(added.as_bytes());
            mac.update(attempt.0.as_bytes());
            let tag = BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
            let foreign = format!("old.{tag}");
            prop_assert!(!keys.verify(attempt, &foreign));
        }
    }
}
