//! What the tests stand on: databases, replicas, callers, a simulated Gladia, and lines between them that can be cut.

pub mod answer;
pub mod app;
pub mod audio;
pub mod builder;
pub mod callbacks;
pub mod caller;
#[cfg(feature = "otel")]
pub mod collector;
pub mod command;
pub mod database;
pub mod deliveries;
pub mod endpoints;
pub mod events;
pub mod guide;
pub mod lists;
pub mod look_ups;
pub mod looks;
pub mod process;
pub mod receipts;
pub mod receiver;
pub mod relay;
pub mod replica;
pub mod resting_deliveries;
pub mod results;
pub mod retries;
pub mod rows;
pub mod spool;
pub mod sse;
pub mod trickle;
pub mod upstream;
pub mod v2;
pub mod v2_create;
pub mod waiting;
pub mod webhooks;

use std::time::Duration;

pub use self::{answer::Answer, app::TestApp, caller::Caller, trickle::trickle};

/// Nothing here takes longer unless it is broken.
pub const BOUND: Duration = Duration::from_secs(20);

/// Waits until there is something to find, within the bound.
pub async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    eventually_within(BOUND, what, look).await
}

/// The same, where what happens may rightly take longer.
pub async fn eventually_within<T>(
    bound: Duration,
    what: &str,
    look: impl AsyncFn() -> Option<T>,
) -> T {
    let waiting = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let found = tokio::time::timeout(bound, waiting).await.ok();
    found.unwrap_or_else(|| panic!("within {bound:?} there was no {what}"))
}
