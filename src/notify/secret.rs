//! A signing secret as receivers keep it: `whsec_` and base64, as Standard Webhooks has it.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::message::SigningSecret;

/// What the text begins with, so that secret scanners find one that leaked.
const PREFIX: &str = "whsec_";

impl SigningSecret {
    /// Makes a secret of random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes.to_vec())
    }

    /// The secret as text, to be shown once.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_as_receivers_take_it_and_never_printed() {
        let secret = SigningSecret::from_random([7; 32]);
        let shown = secret.expose();
        let encoded = shown.strip_prefix("whsec_").unwrap();
        assert_eq!(BASE64_STANDARD.decode(encoded).unwrap(), [7; 32]);
        assert!(!format!("{secret:?}").contains(encoded));
    }
}
