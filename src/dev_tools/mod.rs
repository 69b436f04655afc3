//! What runs beside the gateway on a developer's machine: a Postgres of its own and a Gladia of its own.
//!
//! Stands behind the feature `dev-tools`; the production image is built without it.

pub mod postgres;
pub mod simulator;
