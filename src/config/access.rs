//! Who gets in first.

use clap::Args;

use super::values::{RANDOM, own_secret};
use crate::domain::access::ApiKey;

/// Who gets in first.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Access")]
pub struct AccessSettings {
    /// An API key with the scope `admin` for the tenant `default`, stored at start. Secret.
    ///
    /// At least 24 visible ASCII characters. Once revoked, it stays revoked.
    ///
    /// Example: BOOTSTRAP_API_KEY=$(openssl rand -hex 32)
    #[arg(long, env, hide_env_values = true, value_parser = own_secret::<ApiKey>(RANDOM))]
    pub bootstrap_api_key: Option<ApiKey>,
}
