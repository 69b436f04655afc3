//! What `check-callback` needs: two settings of the gateway that it asks for.

use clap::Args;
use url::Url;

use super::values::{RANDOM, base_url, own_secret};
use crate::gladia::callback_keys::CallbackKeys;

/// Which address is called, and with which keys.
#[derive(Args, Debug, Clone)]
pub struct CheckCallbackSettings {
    /// The base address under which Gladia reaches the gateway.
    ///
    /// Example: PUBLIC_URL=https://gateway.example.com
    #[arg(long, env, value_parser = base_url)]
    pub public_url: Url,

    /// The secrets of the gateway that is to answer: `name:secret`, separated by commas. Secret.
    ///
    /// Example: CALLBACK_KEYS=2026-01:$(openssl rand -hex 32)
    #[arg(long, env, hide_env_values = true, value_parser = own_secret::<CallbackKeys>(RANDOM))]
    pub callback_keys: CallbackKeys,
}
