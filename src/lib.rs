//! gladia-gateway: a durable gateway between a company's programs and Gladia's speech-to-text API.

pub mod cli;
pub mod config;
pub mod db;
#[cfg(feature = "dev-tools")]
pub mod dev_tools;
pub mod domain;
pub mod gladia;
pub mod http;
pub mod shutdown;
pub mod telemetry;
pub mod workers;
