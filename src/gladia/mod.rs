//! Gladia, from the outside: its API as we call it, and its callbacks as they come in.
//!
//! The one call that costs money is [`create`]; what its answer proves is decided there. Facts about the API come from
//! Gladia's published OpenAPI document and documentation (`docs.gladia.io`); where those are silent nothing is assumed.

pub mod audio;
pub mod callback;
pub mod callback_keys;
pub mod canary;
pub mod client;
pub mod create;
pub mod delete;
pub mod error;
pub mod guarded_body;
pub mod job;
pub mod json_reader;
pub mod list;
mod rate_limit;
mod retry_after;
pub mod said;
pub mod upload;
pub mod webhook;
pub mod webhook_secrets;
