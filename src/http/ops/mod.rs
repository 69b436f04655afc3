//! Probes and metrics, for whoever runs the service.
//!
//! They take no key, and without an address of their own everybody reaches them who reaches the API. So what they ask the database
//! is asked by one at a time, for all who ask here: they cannot take the connections of callbacks and workers.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Router, routing::get};

use self::{
    metrics::{COUNTED_FOR, Counted},
    reading::Reading,
};
use super::state::AppState;

mod livez;
mod metrics;
mod reading;
mod readyz;

/// What the database was asked last. Clones are the same.
#[derive(Debug, Clone)]
struct Readings {
    counted: Reading<Arc<Counted>>,
    takes_writes: Reading<Option<bool>>,
}

impl Default for Readings {
    fn default() -> Self {
        Self {
            counted: Reading::good_for(COUNTED_FOR),
            // Whoever looks after the service is told what is true now.
            takes_writes: Reading::good_for(Duration::ZERO),
        }
    }
}

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/livez", get(livez::get_livez))
        .route("/readyz", get(readyz::get_readyz))
        .route("/metrics", get(metrics::get_metrics))
        .layer(Extension(Readings::default()))
}
