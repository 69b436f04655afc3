//! `GET /metrics`: Prometheus text.

use std::time::Duration;

use axum::{extract::State, http::header, response::IntoResponse};
use metrics::gauge;

use crate::{
    db::{
        self,
        dispatch::{self, Dispatch},
        gauges::{self, Gauges},
    },
    http::state::AppState,
    journal::spool::{Kept, Spool},
};

/// A database that takes longer is taken for away, while whoever asks still waits.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(3);

/// Renders the metrics. What the rows know (slots, pauses, what waits for somebody) is read now, so that every replica
/// tells the same. While the database is away it is not known, and what was known last would mislead: NaN.
pub async fn get_metrics(State(state): State<AppState>) -> impl IntoResponse {
    let (mut is_up, mut dispatch, mut gauges) = (false, None, None);
    // What was read by the end of it counts: a database that counts slowly is there.
    let read = async {
        let mut conn = state.pool.acquire().await?;
        if !db::takes_writes(&mut conn).await? {
            return Ok(());
        }
        dispatch = dispatch::find(&mut conn).await?;
        is_up = true;
        gauges = Some(gauges::read(&mut conn).await?);
        Ok::<_, sqlx::Error>(())
    };
    let _ = tokio::time::timeout(DATABASE_TIMEOUT, read).await;
    gauge!("gateway_database_up").set(if is_up { 1.0 } else { 0.0 });
    show_dispatch(dispatch.as_ref());
    show_gauges(gauges.as_ref());
    let waiting = i64::try_from(state.waiting_room.taken()).ok();
    gauge!("gateway_requests_waiting").set(value(waiting));
    if let Some(spool) = state.intake.spool() {
        show_spool(spool).await;
    }
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        state.metrics.render(),
    )
}

async fn show_spool(spool: &Spool) {
    let kept = spool.count().await;
    let show = |name: &'static str, count: fn(Kept) -> usize| {
        let count = kept.and_then(|kept| i64::try_from(count(kept)).ok());
        gauge!(name).set(value(count));
    };
    show("gateway_callbacks_spooled", |kept| kept.callbacks);
    show("gateway_callbacks_spool_broken", |kept| kept.broken);
}

fn show_dispatch(dispatch: Option<&Dispatch>) {
    let in_use = dispatch.map(|dispatch| dispatch.in_flight);
    let max = dispatch.map(|dispatch| i64::from(dispatch.max_in_flight));
    let paused = dispatch.map(|dispatch| i64::from(dispatch.paused_until.is_some()));
    gauge!("gateway_slots_in_use").set(value(in_use));
    gauge!("gateway_slots_max").set(value(max));
    gauge!("gateway_dispatch_paused").set(value(paused));
}

fn show_gauges(gauges: Option<&Gauges>) {
    let show = |name: &'static str, count: fn(&Gauges) -> i64| {
        gauge!(name).set(value(gauges.map(count)));
    };
    show("gateway_callbacks_quarantined", |gauges| {
        gauges.quarantined_callbacks
    });
    show("gateway_attempts_unknown", |gauges| gauges.unknown_attempts);
    show("gateway_attempts_awaiting_decision", |gauges| {
        gauges.awaiting_decision
    });
    show("gateway_surplus_jobs", |gauges| gauges.surplus_jobs);
    show("gateway_upstream_deletions_pending", |gauges| {
        gauges.pending_deletions
    });
    show("gateway_events_unnumbered", |gauges| {
        gauges.unnumbered_events
    });
    show("gateway_deliveries_pending", |gauges| {
        gauges.pending_deliveries
    });
    show("gateway_lanes_open", |gauges| gauges.open_lanes);
    let show_jobs = |status: &'static str, count: fn(&Gauges) -> i64| {
        gauge!("gateway_jobs", "status" => status).set(value(gauges.map(count)));
    };
    show_jobs("queued", |gauges| gauges.queued_jobs);
    show_jobs("submitting", |gauges| gauges.submitting_jobs);
    show_jobs("unknown", |gauges| gauges.unknown_jobs);
    show_jobs("processing", |gauges| gauges.processing_jobs);
    // Where nothing waits, it waits for no time.
    let show_age = |name: &'static str, age: fn(&Gauges) -> Option<f64>| {
        let seconds = gauges.map(|gauges| age(gauges).unwrap_or_default().max(0.0));
        gauge!(name).set(seconds.unwrap_or(f64::NAN));
    };
    show_age("gateway_oldest_queued_seconds", |gauges| {
        gauges.oldest_queued_seconds
    });
    show_age("gateway_deliveries_oldest_pending_seconds", |gauges| {
        gauges.oldest_pending_delivery_seconds
    });
}

#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are floats; none of these counts comes near what a float cannot hold"
)]
fn value(count: Option<i64>) -> f64 {
    count.map_or(f64::NAN, |count| count as f64)
}
