//! Looking whether the gateway's own public address leads back to it.
//!
//! Each process looks for itself: what it learns is about its own name server and routes too. With `PUBLIC_URL_CHECK=pause`
//! it claims nothing while its look fails; what is queued stays queued, here or for replicas whose looks succeed.

use std::time::Duration;

use rand::RngExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{domain::ids::Ids, gladia::canary::Canary};

/// How long until the next look while all is well.
const INTERVAL: Duration = Duration::from_mins(5);

/// How long after the first failure. At a start, a load balancer may not know this replica yet.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// How long after many.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Looks at the public address.
#[derive(Debug)]
pub struct PublicUrlWatch {
    /// Calls it.
    pub canary: Canary,
    /// Where the random part of a call comes from.
    pub ids: Ids,
    /// Tells the submitter whether it may claim, where a failure is to keep it from that.
    pub may_claim: Option<watch::Sender<bool>>,
}

impl PublicUrlWatch {
    /// Looks until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut was_reachable = None;
        let mut retry = FIRST_RETRY;
        loop {
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.canary.call(self.ids.next()) => looked,
            };
            let reachable = looked.is_ok();
            metrics::gauge!("gateway_public_url_reachable").set(if reachable { 1.0 } else { 0.0 });
            if let Some(may_claim) = &self.may_claim {
                may_claim.send_replace(reachable);
            }
            let public_url = self.canary.public_url().origin().ascii_serialization();
            match looked {
                Ok(()) if was_reachable != Some(true) => {
                    tracing::info!("PUBLIC_URL leads back to this gateway ({public_url})");
                }
                Err(error) if was_reachable != Some(false) => {
                    let consequence = if self.may_claim.is_some() {
                        "nothing is sent from here until it does"
                    } else {
                        "results can only be fetched until it does"
                    };
                    tracing::error!(%error, "PUBLIC_URL does not lead back to this gateway ({public_url}); {consequence}");
                }
                Ok(()) | Err(_) => {}
            }
            was_reachable = Some(reachable);
            let rest = if reachable {
                retry = FIRST_RETRY;
                INTERVAL
            } else {
                let rest = retry;
                retry = (retry * 2).min(LONGEST_RETRY);
                rest
            };
            let jittered = rest.mul_f64(rand::rng().random_range(0.8..=1.0));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(jittered) => {}
            }
        }
    }
}
