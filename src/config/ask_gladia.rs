//! What commands need that ask Gladia for a job: three settings of the gateway that they act for.

use std::time::Duration;

use clap::{ArgAction, Args};
use secrecy::SecretString;
use url::Url;

use super::values::{gladia_key, gladia_url};
use crate::gladia::client::GladiaSettings;

/// How Gladia is asked.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Gladia")]
pub struct AskGladiaSettings {
    /// The key of the Gladia account that transcribes. Secret.
    ///
    /// Example: GLADIA_API_KEY=12345678-90ab-…
    #[arg(long, env, hide_env_values = true, value_parser = gladia_key)]
    pub gladia_api_key: Option<SecretString>,

    /// The base address of Gladia's API, or of the simulator.
    ///
    /// Example: GLADIA_API_URL=https://api.gladia.io
    #[arg(long, env, default_value = "https://api.gladia.io", value_parser = gladia_url)]
    pub gladia_api_url: Url,

    /// Whether the account has zero data retention: Gladia then keeps nothing, and is not asked.
    ///
    /// Example: GLADIA_ZERO_DATA_RETENTION=true
    #[arg(long, env, value_name = "BOOL", default_value = "false", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub gladia_zero_data_retention: bool,
}

impl AskGladiaSettings {
    /// What the client is built from. `None` without a key.
    #[must_use]
    pub fn settings(&self) -> Option<GladiaSettings> {
        Some(GladiaSettings {
            api_url: self.gladia_api_url.clone(),
            api_key: self.gladia_api_key.clone()?,
            // Nothing is created or uploaded.
            create_timeout: Duration::ZERO,
            upload_timeout: Duration::ZERO,
        })
    }
}
