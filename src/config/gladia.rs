//! How Gladia is reached.

use std::time::Duration;

use clap::{ArgAction, Args};
use secrecy::SecretString;
use url::Url;

use super::values::{gladia_key, gladia_url, seconds};
use crate::{domain::plan::Plan, gladia::client::GladiaSettings};

/// How Gladia is reached.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Gladia")]
pub struct GladiaArgs {
    /// The key of the Gladia account that transcribes. Secret.
    ///
    /// Example: GLADIA_API_KEY=12345678-90ab-…
    #[arg(long, env, hide_env_values = true, value_parser = gladia_key)]
    pub gladia_api_key: SecretString,

    /// The base address of Gladia's API, or of the simulator.
    ///
    /// Example: GLADIA_API_URL=https://api.gladia.io
    #[arg(long, env, default_value = "https://api.gladia.io", value_parser = gladia_url)]
    pub gladia_api_url: Url,

    /// How many seconds Gladia may take to accept a transcription (1 to 60).
    ///
    /// One that takes longer may or may not have been accepted, and waits for its callback.
    ///
    /// Example: GLADIA_CREATE_TIMEOUT_SECONDS=30
    #[arg(
        long = "gladia-create-timeout-seconds",
        env = "GLADIA_CREATE_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value = "30",
        value_parser = seconds(1..=60),
    )]
    pub gladia_create_timeout: Duration,

    /// How many seconds the upload of one file to Gladia may take in all (1 to 86400).
    ///
    /// Example: GLADIA_UPLOAD_TIMEOUT_SECONDS=3600
    #[arg(
        long = "gladia-upload-timeout-seconds",
        env = "GLADIA_UPLOAD_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value = "3600",
        value_parser = seconds(1..=86_400),
    )]
    pub gladia_upload_timeout: Duration,

    /// Whether the account has zero data retention: Gladia then keeps nothing, and a callback is the only copy of a result.
    ///
    /// Nothing is uploaded, fetched or looked up; callers send audio as URLs. It requires CALLBACK_SPOOL_DIR.
    ///
    /// Example: GLADIA_ZERO_DATA_RETENTION=true
    #[arg(long, env, value_name = "BOOL", default_value = "false", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub gladia_zero_data_retention: bool,

    /// The account's plan: free, paid or enterprise. It decides how long audio may be, and seeds MAX_IN_FLIGHT.
    ///
    /// Gladia transcribes 135 minutes at most (120 of a YouTube video), with an enterprise plan 4 hours and 15 minutes. An
    /// upload that is longer is refused before Gladia is asked to transcribe it.
    ///
    /// Example: GLADIA_PLAN=paid
    #[arg(long, env, value_name = "PLAN", default_value = "paid")]
    pub gladia_plan: Plan,
}

impl GladiaArgs {
    /// What the client is built from.
    #[must_use]
    pub fn settings(&self) -> GladiaSettings {
        GladiaSettings {
            api_url: self.gladia_api_url.clone(),
            api_key: self.gladia_api_key.clone(),
            create_timeout: self.gladia_create_timeout,
            upload_timeout: self.gladia_upload_timeout,
        }
    }
}
