//! Probes and metrics, for whoever runs the service.

use axum::{Router, routing::get};

use super::state::AppState;

mod livez;
mod metrics;
mod readyz;

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/livez", get(livez::get_livez))
        .route("/readyz", get(readyz::get_readyz))
        .route("/metrics", get(metrics::get_metrics))
}
