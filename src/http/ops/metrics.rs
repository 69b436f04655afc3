//! `GET /metrics`: Prometheus text.

use std::{sync::Arc, time::Duration};

use axum::{Extension, extract::State, http::header, response::IntoResponse};
use metrics::gauge;
use tokio::time::{Instant, timeout_at};

use super::Readings;
use crate::{
    db::{
        self,
        dispatch::{self, Dispatch},
        gauges::{self, Gauges},
        pool::Pool,
    },
    http::state::AppState,
    journal::spool::{Kept, Spool},
};

/// A database that takes longer is taken for away, while whoever asks still waits.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(3);

/// For so long what the rows know is not asked for again: to count is dear, and no key is asked for here.
pub(super) const COUNTED_FOR: Duration = Duration::from_secs(1);

/// What the rows know.
#[derive(Debug, Default)]
pub struct Counted {
    is_up: bool,
    dispatch: Option<Dispatch>,
    gauges: Option<Gauges>,
}

impl Counted {
    /// What was read by the end of it counts: a database that counts slowly is there.
    async fn read(pool: Pool) -> Arc<Self> {
        let deadline = Instant::now() + DATABASE_TIMEOUT;
        let mut counted = Self::default();
        if let Ok(mut conn) = pool.acquire_by(deadline).await {
            let reading = async {
                if !db::takes_writes(&mut conn).await? {
                    return Ok(());
                }
                counted.dispatch = dispatch::find(&mut conn).await?;
                counted.is_up = true;
                counted.gauges = Some(gauges::read(&mut conn).await?);
                Ok::<_, sqlx::Error>(())
            };
            match timeout_at(deadline, reading).await {
                Ok(Ok(())) if counted.is_up => conn.put_back(),
                Ok(_) => {}
                Err(_) => conn.close_on_drop(),
            }
        }
        Arc::new(counted)
    }
}

/// Renders the metrics. What the rows know (slots, pauses, what waits for somebody) is read now, so that every replica
/// tells the same. While the database is away it is not known, and what was known last would mislead: NaN.
pub async fn get_metrics(
    State(state): State<AppState>,
    Extension(readings): Extension<Readings>,
) -> impl IntoResponse {
    let reading = || Counted::read(state.pool.clone());
    let counted = readings.counted.get(reading).await;
    if let Some(spool) = state.intake.spool() {
        show_spool(spool).await;
    }
    gauge!("gateway_database_up").set(if counted.is_up { 1.0 } else { 0.0 });
    show_dispatch(counted.dispatch.as_ref());
    show_gauges(counted.gauges.as_ref());
    let waiting = i64::try_from(state.waiting_room.taken()).ok();
    gauge!("gateway_requests_waiting").set(value(waiting));
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
    let transactions = gauges.and_then(|gauges| gauges.oldest_snapshot_transactions);
    gauge!("gateway_database_oldest_snapshot_transactions").set(value(transactions.map(i64::from)));
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
