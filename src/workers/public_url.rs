//! Looking whether the gateway's own public address leads back to it.
//!
//! Each process looks for itself: what it learns is about its own name server and routes too. With `PUBLIC_URL_CHECK=pause`
//! it claims nothing while its look fails; what is queued stays queued, here or for replicas whose looks succeed.
//!
//! Whether large callbacks come is looked at less often. Where they do not, nothing pauses: small ones do come, and the results of
//! the others can be fetched, unless Gladia keeps none.

use std::time::Duration;

use rand::RngExt;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::ids::Ids,
    gladia::canary::{Canary, CanaryError, LARGE_MEGABYTES},
};

/// How long until the next look while all is well.
const INTERVAL: Duration = Duration::from_mins(5);

/// How long until large callbacks are looked at again where they get through; where they do not, it is at the next look.
const LARGE_INTERVAL: Duration = Duration::from_hours(1);

/// So many failures make about an hour, after which it is said again.
const LARGE_FAILURES_UNTIL_SAID_AGAIN: u32 = 12;

/// How long after the first failure. At a start, a load balancer may not know this replica yet.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// How long after many.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// So many failures in a row are no matter of a start any more.
const FAILURES_THAT_LAST: u32 = 4;

/// After so many more it is said again: about ten minutes, as nothing else tells those who read the log alone.
const FAILURES_UNTIL_SAID_AGAIN: u32 = 20;

/// What is known of large callbacks.
#[derive(Debug, Default)]
struct Large {
    /// In a row.
    failures: u32,
    next_look_at: Option<Instant>,
}

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
        // In a row; `None` before the first look.
        let mut failures = None;
        let mut large = Large::default();
        loop {
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.canary.call(self.ids.next()) => looked,
            };
            let before = failures.unwrap_or(0_u32);
            let rest = match looked {
                Ok(()) => {
                    if failures != Some(0) {
                        tracing::info!("PUBLIC_URL leads back to this gateway ({})", self.place());
                    }
                    failures = Some(0);
                    INTERVAL
                }
                Err(error) => {
                    let count = before.saturating_add(1);
                    failures = Some(count);
                    self.tell(&error, count);
                    FIRST_RETRY
                        .saturating_mul(1 << before.min(10))
                        .min(LONGEST_RETRY)
                }
            };
            let reachable = failures == Some(0);
            metrics::gauge!("gateway_public_url_reachable").set(if reachable { 1.0 } else { 0.0 });
            if let Some(may_claim) = &self.may_claim {
                may_claim.send_replace(reachable);
            }
            if reachable {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.look_at_large(&mut large) => {}
                }
            }
            let jittered = rest.mul_f64(rand::rng().random_range(0.8..=1.0));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(jittered) => {}
            }
        }
    }

    /// Looks whether a large callback gets through, where that is due.
    async fn look_at_large(&self, large: &mut Large) {
        if large.next_look_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        let looked = self.canary.call_large(self.ids.next()).await;
        let place = self.place();
        metrics::gauge!("gateway_public_url_takes_large_callbacks").set(if looked.is_ok() {
            1.0
        } else {
            0.0
        });
        let Err(error) = looked else {
            if large.failures > 0 {
                tracing::info!(
                    "Large callbacks get through to this gateway by PUBLIC_URL ({place})"
                );
            }
            *large = Large {
                failures: 0,
                next_look_at: Some(Instant::now() + LARGE_INTERVAL),
            };
            return;
        };
        if large
            .failures
            .is_multiple_of(LARGE_FAILURES_UNTIL_SAID_AGAIN)
        {
            tracing::error!(
                %error,
                "PUBLIC_URL leads back to this gateway ({place}), but a callback of {LARGE_MEGABYTES} MB does not get through: large \
                 results come late until it does, and with GLADIA_ZERO_DATA_RETENTION they are lost"
            );
        }
        large.failures = large.failures.saturating_add(1);
    }

    /// Where it looks, without a path.
    fn place(&self) -> String {
        self.canary.public_url().origin().ascii_serialization()
    }

    /// Says that a look failed, when that is new; and again, louder, for as long as it lasts.
    fn tell(&self, error: &CanaryError, failures: u32) {
        let (place, consequence) = (self.place(), self.consequence());
        if failures == 1 {
            tracing::warn!(
                %error,
                "PUBLIC_URL does not lead back to this gateway ({place}); {consequence}. Looking again soon"
            );
        } else if is_said_again(failures) {
            tracing::error!(
                %error,
                "PUBLIC_URL still does not lead back to this gateway ({place}); {consequence}"
            );
        }
    }

    fn consequence(&self) -> &'static str {
        if self.may_claim.is_some() {
            "nothing is sent from here until it does"
        } else {
            "callbacks may be lost until it does"
        }
    }
}

/// Whether a failure that lasts is worth a line after so many looks.
fn is_said_again(failures: u32) -> bool {
    failures
        .checked_sub(FAILURES_THAT_LAST)
        .is_some_and(|more| more % FAILURES_UNTIL_SAID_AGAIN == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_stays_wrong_is_said_again_and_again() {
        let said: Vec<u32> = (1..=60).filter(|count| is_said_again(*count)).collect();
        assert_eq!(said, [4, 24, 44]);
    }
}
