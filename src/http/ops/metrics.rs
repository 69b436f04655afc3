//! `GET /metrics`: Prometheus text.

use axum::{extract::State, http::header, response::IntoResponse};

use crate::{db, http::state::AppState};

/// Renders the metrics. What the rows know (slots, pauses) is read now, so that every replica tells the same.
pub async fn get_metrics(State(state): State<AppState>) -> impl IntoResponse {
    if let Ok(mut conn) = state.pool.acquire().await
        && let Ok(Some(dispatch)) = db::dispatch::find(&mut conn).await
    {
        if let Ok(quarantined) = db::quarantine::count(&mut conn).await {
            #[expect(
                clippy::cast_precision_loss,
                reason = "gauges are floats; these are few"
            )]
            metrics::gauge!("gateway_callbacks_quarantined").set(quarantined as f64);
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "gauges are floats; slots are few"
        )]
        metrics::gauge!("gateway_slots_in_use").set(dispatch.in_flight as f64);
        metrics::gauge!("gateway_slots_max").set(f64::from(dispatch.max_in_flight));
        metrics::gauge!("gateway_dispatch_paused").set(if dispatch.paused_until.is_some() {
            1.0
        } else {
            0.0
        });
    }
    if let Some(spool) = state.intake.spool().cloned() {
        let counted = tokio::task::spawn_blocking(move || {
            let count = |files: std::io::Result<Vec<_>>| files.map(|files| files.len());
            (count(spool.list()), count(spool.list_broken()))
        });
        if let Ok((Ok(spooled), Ok(broken))) = counted.await {
            #[expect(
                clippy::cast_precision_loss,
                reason = "gauges are floats; files are few"
            )]
            {
                metrics::gauge!("gateway_callbacks_spooled").set(spooled as f64);
                metrics::gauge!("gateway_callbacks_spool_broken").set(broken as f64);
            }
        }
    }
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        state.metrics.render(),
    )
}
