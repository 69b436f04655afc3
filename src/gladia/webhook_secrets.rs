//! The secrets that sign Gladia's account webhooks.
//!
//! Gladia delivers account webhooks through Svix (CONTRACT: dashboard webhooks), whose secrets read `whsec_` and base64.

use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_STANDARD};

/// What Svix's secrets begin with.
const PREFIX: &str = "whsec_";

/// The secrets of account webhooks, all of which may have signed one: while they rotate there are two.
#[derive(Clone)]
pub struct WebhookSecrets(Vec<Vec<u8>>);

impl FromStr for WebhookSecrets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(|secret| {
                let encoded = secret
                    .trim()
                    .strip_prefix(PREFIX)
                    .ok_or_else(|| format!("must be secrets that begin with {PREFIX}"))?;
                BASE64_STANDARD
                    .decode(encoded)
                    .ok()
                    .filter(|secret| !secret.is_empty())
                    .ok_or_else(|| format!("must be secrets of {PREFIX} and base64"))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl WebhookSecrets {
    /// The keys that they hold.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSecrets({} secrets)", self.0.len())
    }
}
