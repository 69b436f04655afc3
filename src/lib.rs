//! gladia-gateway: a durable gateway between a company's programs and Gladia's speech-to-text API.
//!
//! A caller posts audio and options ([`http::transcriptions`]). The job is committed before the answer ([`db::jobs`]). A
//! worker claims it together with one of the account's slots ([`db::claims`]), sends it to Gladia with a callback address
//! that only this attempt has ([`workers::submit`], [`gladia::create`]), and records what the answer proves
//! ([`domain::attempt`]). Gladia calls back ([`http::callbacks`]); in one commit the body is kept, the job finished and the
//! slot given back ([`db::callbacks`]). Everything that callers see of a job is an event of one log ([`db::events`]), which feeds
//! streams and waiting requests ([`feed`]) and webhooks ([`notify`]). The caller fetches the result.
//!
//! Imports point down only: `main → cli → app → {http, workers} → {journal, feed} → {db, gladia, notify} → domain`. `docs/architecture.md` tells the
//! whole story.

pub mod app;
pub mod cli;
pub mod config;
pub mod crash_points;
pub mod db;
#[cfg(feature = "dev-tools")]
pub mod dev_tools;
pub mod domain;
pub mod feed;
pub mod gladia;
pub mod http;
pub mod journal;
pub mod notify;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod trace;
pub mod turns;
pub mod workers;
