//! Walking through Gladia's list over a span of time.
//!
//! The list is paged by offset, so what is deleted meanwhile moves everything behind it, and a job could slip through
//! between two pages. Pages therefore overlap by one job; where the overlap does not hold, the walk begins again. The span's
//! end is fixed at its start, so new jobs do not move anything.

use chrono::{DateTime, Utc};

use super::{Found, LookError, LookUp};
use crate::gladia::list::ListFilter;

/// Jobs in a page: few, since each comes with its whole result.
const PAGE: usize = 10;

/// How often a walk begins again before it is given up until later.
const MOST_RESTARTS: u32 = 3;

/// The span of a walk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// From later than this.
    pub(super) after: DateTime<Utc>,
    /// To earlier than this.
    pub(super) before: DateTime<Utc>,
}

impl Walk {
    /// Walks from the newest to the oldest. Returns the jobs that attempts of ours sent.
    pub(super) async fn go(self, look_up: &LookUp) -> Result<Found, LookError> {
        for _ in 0..=MOST_RESTARTS {
            if let Some(found) = self.try_once(look_up).await? {
                return Ok(found);
            }
            metrics::counter!("gateway_look_up_restarts_total").increment(1);
        }
        Err(LookError::Restless)
    }

    /// `None` where the list moved.
    async fn try_once(self, look_up: &LookUp) -> Result<Option<Found>, LookError> {
        let filter = ListFilter::Dates {
            after: self.after,
            before: self.before,
        };
        let mut found = Found::new();
        let mut offset = 0;
        let mut last: Option<String> = None;
        loop {
            look_up.renew().await?;
            let page = look_up.gladia.list(filter, offset, PAGE).await?;
            let overlaps = match (&last, page.first()) {
                (None, _) => true,
                (Some(last), Some(first)) => *last == first.gladia_id,
                (Some(_), None) => false,
            };
            if !overlaps {
                return Ok(None);
            }
            let is_last = page.len() < PAGE;
            last = page.last().map(|job| job.gladia_id.clone());
            for job in page {
                if let Some(id) = job.attempt_id {
                    let jobs = found.entry(id).or_default();
                    // The job that two pages share comes twice.
                    if !jobs.iter().any(|known| known.gladia_id == job.gladia_id) {
                        jobs.push(job);
                    }
                }
            }
            if is_last {
                return Ok(Some(found));
            }
            // The last job of this page is the first of the next.
            offset += PAGE - 1;
        }
    }
}
