//! Walking through Gladia's list over a span of time.
//!
//! The list is paged by offset, so what is deleted meanwhile moves everything behind it, and a job could slip through
//! between two pages. Pages therefore overlap by one job; where the overlap does not hold, the walk begins again. The span's
//! end is fixed at its start, so new jobs do not move anything.
//!
//! A page may be short or empty although more follows. The next one then begins where the last job stands at the earliest, and is
//! asked for larger where too little shows. A list that says for long that there is more, and shows nothing, proves nothing.

use chrono::{DateTime, Utc};

use super::{Found, LookError, LookUp};
use crate::gladia::list::{ListFilter, ListedJob};

/// Jobs in a page: few, since each comes with its whole result.
const PAGE: usize = 10;

/// How many are asked for at most, where pages of fewer show too little.
const MOST_IN_PAGE: usize = 80;

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
        let (mut offset, mut limit) = (0, PAGE);
        let mut last: Option<Last> = None;
        loop {
            look_up.renew().await?;
            let page = look_up.gladia.list(filter, offset, limit).await?;
            let shown = page.jobs.len();
            let known = match last.as_ref().map(|last| last.place_in(&page.jobs)) {
                None => 0,
                Some(Some(place)) => place + 1,
                Some(None) => return Ok(None),
            };
            let shows_more = known < shown;
            if let Some(job) = page.jobs.last() {
                last = Some(Last {
                    gladia_id: job.gladia_id.clone(),
                    at_most_behind: limit.saturating_sub(shown),
                });
            }
            for job in page.jobs {
                if let Some(id) = job.attempt_id {
                    let jobs = found.entry(id).or_default();
                    // The job that two pages share comes twice.
                    if !jobs.iter().any(|known| known.gladia_id == job.gladia_id) {
                        jobs.push(job);
                    }
                }
            }
            // A full one may be followed by more, whatever it says.
            if !page.has_next && (shown < limit || !shows_more) {
                return Ok(Some(found));
            }
            if !shows_more && limit == MOST_IN_PAGE {
                return Err(LookError::Withheld);
            }
            // The last job of this page is the first of the next, or behind what this one left out.
            offset += shown.saturating_sub(1);
            if !shows_more || shown <= PAGE / 2 {
                limit = (limit * 2).min(MOST_IN_PAGE);
            } else if shown >= limit {
                limit = PAGE;
            }
        }
    }
}

/// The last job that a walk has seen.
struct Last {
    gladia_id: String,
    /// How many jobs may stand before it in the next page: as many as were left out of its own.
    at_most_behind: usize,
}

impl Last {
    /// Where it stands in the next page. `None`: the list moved.
    fn place_in(&self, jobs: &[ListedJob]) -> Option<usize> {
        jobs.iter()
            .take(self.at_most_behind + 1)
            .position(|job| job.gladia_id == self.gladia_id)
    }
}
