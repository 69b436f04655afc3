//! What runs beside the gateway on a developer's machine: a Postgres of its own, a Gladia of its own, and lines to it that
//! lose answers.
//!
//! Stands behind the feature `dev-tools`; the production image is built without it.

mod connection;
pub mod lossy_line;
pub mod postgres;
pub mod simulator;
