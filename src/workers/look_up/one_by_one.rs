//! Asking for attempts one by one, with the metadata filter.
//!
//! How the filter is to be spelt is documented and not proven. Gladia may refuse it, ignore it or find nothing by it, so each
//! answer counts only as far as it shows that the filter was applied: whoever else is let through proves that it was not. What
//! nothing is proven of is left to a walk through the list, which does without. So is an answer that another page follows: the filter
//! may have been applied to the jobs of one page alone.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{Found, LookError, LookUp, Looked, NEXT_AFTER_DECISION, count, witness::first_after};
use crate::{
    db::{
        attempts::look_ups::{self, Candidate, UnknownAttempt},
        pool::in_time,
    },
    domain::{
        ids::AttemptId,
        settling::{UnknownReason, Witness},
    },
    gladia::list::ListFilter,
};

/// How many jobs are asked for. More than one would be a surplus; a filter that is ignored gives whatever came last.
const ASKED_FOR: usize = 3;

/// What the list says when it is asked for one attempt.
struct Asked {
    /// That attempt's jobs.
    found: Found,
    /// Nothing else was let through and nothing more follows, as far as this answer shows.
    is_filtered: bool,
}

impl LookUp {
    /// Looks, where it is time, for attempts that an operator has to decide on. They may be old, so they are asked for alone:
    /// a walk back to them would be long.
    pub(super) async fn look_for_undecided(
        &self,
        started_at: DateTime<Utc>,
        attempts: Vec<UnknownAttempt>,
    ) -> Result<(), LookError> {
        let due = attempts
            .into_iter()
            .filter(|attempt| attempt.next_look_at.is_none_or(|at| at <= started_at));
        for attempt in due {
            let asked = self.ask_for(attempt.id).await?;
            in_time(self.adopt_found(&asked.found)).await?;
            let mut conn = self.pool.acquire().await?;
            let waits_for = Some(UnknownReason::AwaitingDecision);
            let noting =
                look_ups::note_absence(&mut conn, &attempt, waits_for, NEXT_AFTER_DECISION);
            in_time(noting).await?;
        }
        Ok(())
    }

    /// Asks for each attempt, and for a witness in the same way. Returns the attempts for which that proves nothing.
    pub(super) async fn look_one_by_one(
        &self,
        started_at: DateTime<Utc>,
        attempts: Vec<UnknownAttempt>,
        candidates: &[Candidate],
    ) -> Result<Vec<UnknownAttempt>, LookError> {
        let mut unproven = Vec::new();
        let mut witnesses: HashMap<AttemptId, bool> = HashMap::new();
        for attempt in attempts {
            // The witness first: if it is there, then by the later question everything before it is. The other way round,
            // the list might have caught up in between.
            let mut seen = false;
            if let Some(candidate) = first_after(candidates, &attempt, self.settling_time) {
                seen = if let Some(seen) = witnesses.get(&candidate.id) {
                    *seen
                } else {
                    let asked = self.ask_for(candidate.id).await?;
                    // Among whatever came last it would be a witness of nothing.
                    asked.is_filtered && asked.found.contains_key(&candidate.id)
                };
                witnesses.insert(candidate.id, seen);
            }
            let asked = self.ask_for(attempt.id).await?;
            if !asked.found.is_empty() {
                in_time(self.adopt_found(&asked.found)).await?;
                in_time(self.leave_what_is_still_unknown(&attempt)).await?;
            } else if seen && asked.is_filtered {
                in_time(self.conclude(started_at, &attempt, Witness::Seen, false)).await?;
            } else {
                unproven.push(attempt);
            }
        }
        Ok(unproven)
    }

    /// Asks for one attempt's jobs. What the filter lets through by mistake is not taken for it.
    async fn ask_for(&self, id: AttemptId) -> Result<Asked, LookError> {
        self.renew().await?;
        let listed = self.gladia.list(ListFilter::Attempt(id), 0, ASKED_FOR);
        let listed = match listed.await {
            // A list that is asked without the filter may answer all the same.
            Err(error) if !error.is_retryable() => {
                count(Looked::FilterRefused.as_str());
                tracing::warn!(%error, attempt.id = %id, "Gladia does not answer what is asked for by metadata; its list is walked through instead, but for attempts that an operator decides on");
                return Ok(Asked {
                    found: Found::new(),
                    is_filtered: false,
                });
            }
            listed => listed?,
        };
        let (own, foreign): (Vec<_>, Vec<_>) = listed
            .jobs
            .into_iter()
            .partition(|job| job.attempt_id == Some(id));
        let mut found = Found::new();
        for job in own {
            found.entry(id).or_default().push(job);
        }
        Ok(Asked {
            found,
            is_filtered: foreign.is_empty() && !listed.has_next,
        })
    }
}
