//! `check-callback`: whether Gladia's callbacks would reach a gateway that runs.

use std::process::ExitCode;

use anyhow::Context;
use uuid::Uuid;

use super::output;
use crate::{
    config::CheckCallbackSettings,
    gladia::canary::{Canary, LARGE_MEGABYTES},
};

/// Calls the public address on the way that callbacks take.
///
/// # Errors
/// Where the call does not come back to a gateway with the same keys.
pub async fn run(settings: CheckCallbackSettings) -> anyhow::Result<ExitCode> {
    let place = settings.public_url.to_string();
    let canary = Canary::new(settings.public_url, settings.callback_keys)
        .context("the HTTP client could not be built")?;
    canary
        .call(Uuid::now_v7())
        .await
        .with_context(|| format!("PUBLIC_URL {place} does not lead back to a gateway"))?;
    canary.call_large(Uuid::now_v7()).await.with_context(|| {
        format!(
            "PUBLIC_URL {place} leads back to a gateway, but a callback of {LARGE_MEGABYTES} MB does not get through"
        )
    })?;
    output::line(&format!(
        "{place} leads to a gateway with these CALLBACK_KEYS, also a callback of {LARGE_MEGABYTES} MB"
    ))?;
    Ok(ExitCode::SUCCESS)
}
