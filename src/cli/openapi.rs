//! `openapi`: the REST API's description, as `openapi/` holds it.

use std::process::ExitCode;

use super::output;
use crate::http;

/// Prints the document.
///
/// # Errors
/// Where stdout does not take it.
pub fn run() -> anyhow::Result<ExitCode> {
    output::line(&http::openapi::document().to_pretty_json()?)?;
    Ok(ExitCode::SUCCESS)
}
