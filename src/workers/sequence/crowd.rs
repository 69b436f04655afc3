//! Whoever fills batch after batch, and the others.
//!
//! Events are numbered in the order in which they came, so whoever adds ten thousands at once would keep everybody else from being
//! told of anything until they are through. Tenants of whom a full batch has many are a crowd from then on, for as long as batches
//! are full: between theirs, whatever others have is numbered first.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::domain::ids::TenantId;

/// A tenant joins the crowd when more than one in this many events of a full batch are its own.
const SHARE: usize = 8;

/// Looking past the crowd's events takes time while every replica waits for the lock. This process rests this many times as long
/// before it does so again.
const REST: u32 = 3;

/// How long it rests where that look was given up.
const REST_UNTIL_KNOWN: Duration = Duration::from_mins(1);

/// How many deliveries one commit is to make: everybody waits for it.
const MOST_DELIVERIES: usize = 2000;

/// The tenants of whom much waits.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    tenant_ids: Vec<TenantId>,
    rests_until: Option<Instant>,
}

impl Crowd {
    /// Whose events are to be passed over now, so that the others' are found. `None`: whoever came first is next.
    pub(super) fn passed_over(&mut self, now: Instant) -> Option<&[TenantId]> {
        let rests = self.rests_until.is_some_and(|until| now < until);
        if self.tenant_ids.is_empty() || rests {
            return None;
        }
        // Until it is known how long it took: it may be given up.
        self.rests_until = Some(now + REST_UNTIL_KNOWN);
        Some(&self.tenant_ids)
    }

    /// After a batch of whoever came first: whose the events are, where it was full.
    pub(super) fn note_first(&mut self, full: Option<&[TenantId]>) {
        match full {
            Some(tenant_ids) => self.join(tenant_ids),
            None => *self = Self::default(),
        }
    }

    /// After a batch of the others, which took so long.
    pub(super) fn note_others(&mut self, full: Option<&[TenantId]>, took: Duration) {
        self.rests_until = Some(Instant::now() + took * REST);
        self.join(full.unwrap_or_default());
    }

    fn join(&mut self, of_events: &[TenantId]) {
        let mut counts: HashMap<TenantId, usize> = HashMap::new();
        for tenant_id in of_events {
            *counts.entry(*tenant_id).or_default() += 1;
        }
        let many = counts
            .into_iter()
            .filter(|(_, count)| count * SHARE > of_events.len())
            .map(|(tenant_id, _)| tenant_id);
        for tenant_id in many {
            if !self.tenant_ids.contains(&tenant_id) {
                self.tenant_ids.push(tenant_id);
            }
        }
    }
}

/// How many events the next commit is to number, `most` at most, where so many deliveries were made of so many of the last one's.
pub(super) fn next_batch(most: i64, events: usize, deliveries: usize) -> i64 {
    let fitting = (events * MOST_DELIVERIES).checked_div(deliveries);
    let fitting = fitting.and_then(|fitting| i64::try_from(fitting).ok());
    fitting.unwrap_or(most).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_makes_no_more_deliveries_than_others_can_wait_for() {
        assert_eq!(next_batch(500, 500, 0), 500);
        assert_eq!(next_batch(500, 500, MOST_DELIVERIES), 500);
        assert_eq!(next_batch(500, 500, 20 * 500), 100);
        assert_eq!(next_batch(500, 100, 20 * 100), 100);
        assert_eq!(next_batch(500, 3, 3), 500);
        assert_eq!(next_batch(500, 1, 1_000_000), 1);
    }
}
