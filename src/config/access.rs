//! Who gets in first.

use clap::Args;

use crate::domain::access::ApiKey;

/// Who gets in first.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Access")]
pub struct AccessSettings {
    /// An API key with the scope `admin` for the tenant `default`, stored at start. Secret.
    ///
    /// At least 24 visible ASCII characters. Once revoked, it stays revoked.
    ///
    /// Example: BOOTSTRAP_API_KEY=5d41402abc4b2a76b9719d911017c592
    #[arg(long, env, hide_env_values = true)]
    pub bootstrap_api_key: Option<ApiKey>,
}
