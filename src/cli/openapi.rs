//! `openapi`: the REST API's description, as `openapi/` holds it.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::output;
use crate::http::openapi::{self, Version};

/// How it is printed.
#[derive(Args, Debug)]
pub struct OpenapiArgs {
    /// The version of `OpenAPI`.
    #[arg(long, value_enum, default_value_t)]
    version: SpecVersion,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum SpecVersion {
    /// The one it is written in.
    #[default]
    #[value(name = "3.1")]
    V3_1,
    /// For generators that read no newer one.
    #[value(name = "3.0")]
    V3_0,
}

/// Prints the document.
///
/// # Errors
/// Where stdout does not take it.
pub fn run(args: &OpenapiArgs) -> anyhow::Result<ExitCode> {
    let version = match args.version {
        SpecVersion::V3_1 => Version::V3_1,
        SpecVersion::V3_0 => Version::V3_0,
    };
    let document = openapi::document().in_version(version);
    output::line(&document.to_json())?;
    Ok(ExitCode::SUCCESS)
}
