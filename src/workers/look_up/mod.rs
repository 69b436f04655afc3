//! Finding out whether an attempt of unknown outcome reached Gladia.
//!
//! Every attempt carries its id in its metadata, so Gladia's list can tell. A few attempts are asked for one by one, with
//! the metadata filter ([`one_by_one`]); more, or where the filter is not proven to work, by walking the list over the time in
//! question and comparing ourselves ([`sweep`]). What is found is adopted. Not finding it counts by the rules of [`settling`] alone:
//! late enough, twice, and with a witness, a job accepted later that the same look did find.
//!
//! [`settling`]: crate::domain::settling

mod one_by_one;
mod sweep;
mod witness;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use self::{
    sweep::Walk,
    witness::{MAX_SKEW, oldest, witness_of, witnessed_from},
};
use super::{ERROR_PAUSE, sweep_interval};
use crate::{
    crash_points::CrashPoint,
    db::{
        adoption::{Adopted, FoundBy, adopt},
        look_ups::{self, Candidate, UnknownAttempt},
        pool::{Pool, in_time},
        wakeups::Wakeups,
    },
    domain::{
        ids::AttemptId,
        settling::{
            Absence, Judgement, WITHOUT_WITNESS, WaitReason, Witness, judge, may_be_sent_again,
        },
    },
    gladia::{client::GladiaClient, error::GladiaError, list::ListedJob},
};

/// Up to this many attempts are asked for one by one; more share a walk through the list.
const ONE_BY_ONE: usize = 5;

/// How long the right to look lasts without being renewed: longer than the longest single request.
const HOLD: Duration = Duration::from_secs(75);

/// How long looks are apart while an operator's decision is waited for.
const NEXT_AFTER_DECISION: Duration = Duration::from_hours(1);

/// What looks are made with.
#[derive(Debug)]
pub struct LookUp {
    /// The database.
    pub pool: Pool,
    /// Gladia.
    pub gladia: GladiaClient,
    /// Tells of free slots and jobs that are back in line.
    pub wakeups: Wakeups,
    /// The name of this process.
    pub worker: String,
    /// How long Gladia's list may lag behind.
    pub settling_time: Duration,
    /// Whether what provably was not sent is sent again without an operator.
    pub resends: bool,
}

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Gladia(#[from] GladiaError),
    #[error("another process looks")]
    HeldElsewhere,
    #[error("the list moved under the look too often")]
    Restless,
}

/// What the looks found, by attempt.
type Found = HashMap<AttemptId, Vec<ListedJob>>;

impl LookUp {
    /// Looks until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let rest = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look_if_due() => match looked {
                    Ok(()) => sweep_interval(),
                    Err(error) => {
                        tracing::warn!(%error, "Could not look for attempts of unknown outcome; trying again");
                        ERROR_PAUSE
                    }
                },
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Looks once, if an attempt is due and no other process looks.
    async fn look_if_due(&self) -> sqlx::Result<()> {
        if !in_time(self.begin()).await? {
            return Ok(());
        }
        let looked = self.look().await;
        in_time(self.release()).await?;
        match looked {
            Err(LookError::Database(error)) => return Err(error),
            Err(error) => {
                metrics::counter!("gateway_look_ups_total", "outcome" => "failed").increment(1);
                tracing::warn!(%error, "Could not look at Gladia's list; attempts stay unknown until it answers");
                in_time(self.postpone()).await?;
            }
            Ok(()) => {}
        }
        self.wakeups.jobs_changed();
        Ok(())
    }

    /// Whether an attempt is due, and the right to look is had.
    async fn begin(&self) -> sqlx::Result<bool> {
        let mut conn = self.pool.acquire().await?;
        Ok(look_ups::is_due(&mut conn, self.settling_time).await?
            && look_ups::hold(&mut conn, &self.worker, HOLD).await?)
    }

    /// Gives the right to look back.
    async fn release(&self) -> sqlx::Result<()> {
        let mut conn = self.pool.acquire().await?;
        look_ups::release(&mut conn, &self.worker).await
    }

    /// What is unknown at this instant, and what may be a witness.
    async fn list(&self) -> sqlx::Result<(DateTime<Utc>, Vec<UnknownAttempt>, Vec<Candidate>)> {
        let mut conn = self.pool.acquire().await?;
        let started_at = look_ups::now(&mut conn).await?;
        let unknown = look_ups::list_unknown(&mut conn).await?;
        let instants: Vec<_> = unknown
            .iter()
            // Whether one that waits for an operator is sent again is no longer up to a look.
            .filter(|attempt| !attempt.awaits_decision)
            .map(|attempt| witnessed_from(attempt, self.settling_time))
            .collect();
        let candidates = look_ups::list_candidates(&mut conn, &instants).await?;
        Ok((started_at, unknown, candidates))
    }

    /// One look at everything that is unknown.
    async fn look(&self) -> Result<(), LookError> {
        let (started_at, unknown, candidates) = in_time(self.list()).await?;
        let is_any_resent_blindly = unknown.iter().any(|attempt| attempt.was_resent_blindly);
        let (undecided, mut open): (Vec<_>, Vec<_>) = unknown
            .into_iter()
            .partition(|attempt| attempt.awaits_decision);
        self.look_for_undecided(started_at, undecided).await?;
        if open.len() <= ONE_BY_ONE {
            open = self.look_one_by_one(started_at, open, &candidates).await?;
        }
        if !open.is_empty() {
            self.look_at_all(started_at, open, &candidates, is_any_resent_blindly)
                .await?;
        }
        Ok(())
    }

    /// Walks through the list over the time in question, once for all.
    async fn look_at_all(
        &self,
        started_at: DateTime<Utc>,
        attempts: Vec<UnknownAttempt>,
        candidates: &[Candidate],
        is_any_resent_blindly: bool,
    ) -> Result<(), LookError> {
        let Some(first) = attempts.iter().map(|attempt| attempt.created_at).min() else {
            return Ok(());
        };
        let walk = Walk {
            // Twice the skew that a witness may have, so that no job falls out at this end whose witness does not.
            after: first - MAX_SKEW * 2,
            before: started_at,
        };
        let found = walk.go(self).await?;
        in_time(self.adopt_found(&found)).await?;
        let may_come = {
            let mut conn = self.pool.acquire().await?;
            in_time(look_ups::may_witness_come(&mut conn)).await?
        };
        let (there, missing): (Vec<_>, Vec<_>) = attempts
            .into_iter()
            .partition(|attempt| found.contains_key(&attempt.id));
        for attempt in &there {
            in_time(self.leave_what_is_still_unknown(attempt)).await?;
        }
        let oldest = oldest(&missing, is_any_resent_blindly);
        for attempt in &missing {
            let witness = witness_of(attempt, self.settling_time, candidates, &found, may_come);
            let is_oldest = Some(attempt.id) == oldest;
            in_time(self.conclude(started_at, attempt, witness, is_oldest)).await?;
        }
        Ok(())
    }

    /// Takes down what Gladia has and the rows do not say yet.
    async fn adopt_found(&self, found: &Found) -> Result<(), LookError> {
        let (mut ids, mut gladia_ids, mut ended) = (Vec::new(), Vec::new(), HashSet::new());
        for (id, jobs) in found {
            for job in jobs {
                ids.push(*id);
                gladia_ids.push(job.gladia_id.clone());
                if job.ended {
                    ended.insert(job.gladia_id.clone());
                }
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        let mut conn = self.pool.acquire().await?;
        let news = look_ups::list_news(&mut conn, &ids, &gladia_ids).await?;
        for (id, gladia_id) in &news {
            let ended = ended.contains(gladia_id);
            let adopted = adopt(&mut conn, *id, gladia_id, FoundBy::LookUp { ended }).await?;
            if adopted == Adopted::Adopted {
                metrics::counter!("gateway_look_ups_total", "outcome" => "found").increment(1);
                tracing::info!(attempt.id = %id, "Gladia has attempt {id}, whose outcome was unknown");
            }
        }
        Ok(())
    }

    /// Gladia has an attempt, and its row could not take the id, since another attempt answers for it: an operator's word on
    /// that one was wrong, and an operator has to mend it. Changes nothing where the attempt was adopted.
    async fn leave_what_is_still_unknown(&self, attempt: &UnknownAttempt) -> Result<(), LookError> {
        let mut conn = self.pool.acquire().await?;
        if look_ups::leave_to_operator(&mut conn, attempt, true, NEXT_AFTER_DECISION).await? {
            tracing::error!(attempt.id = %attempt.id, "Gladia has attempt {} under an id that another attempt answers for; an operator has to decide", attempt.id);
        }
        Ok(())
    }

    /// Judges a look that did not find an attempt, and notes what it means.
    async fn conclude(
        &self,
        started_at: DateTime<Utc>,
        attempt: &UnknownAttempt,
        witness: Witness,
        is_oldest: bool,
    ) -> Result<(), LookError> {
        // Looks come when any attempt is due. The two absences that settle this one are apart, so that a list which is wrong
        // for a moment does not make both.
        if attempt.absences > 0 && attempt.next_look_at.is_some_and(|at| at > started_at) {
            return Ok(());
        }
        let absence = Absence {
            since_send_until: (started_at - attempt.send_until)
                .to_std()
                .unwrap_or_default(),
            witness,
            is_oldest,
            absences: u32::try_from(attempt.absences).unwrap_or_default(),
        };
        let mut conn = self.pool.acquire().await?;
        let outcome = match judge(&absence, self.settling_time) {
            Judgement::Wait(reason) => {
                // Not later than the instant from which it may count without a witness.
                let until_then = (self.settling_time * WITHOUT_WITNESS)
                    .checked_sub(absence.since_send_until)
                    .unwrap_or(Duration::MAX);
                let rest = self.rest(attempt, absence.since_send_until).min(until_then);
                look_ups::note_absence(&mut conn, attempt, Some(reason), rest).await?;
                reason.as_str()
            }
            Judgement::Count => {
                let rest = self.settling_time / 4;
                look_ups::note_absence(&mut conn, attempt, None, rest).await?;
                "absent"
            }
            Judgement::NotSent
                if attempt.job_has_ended
                    || self.resends
                        && may_be_sent_again(
                            witness,
                            attempt.was_resent_blindly,
                            attempt.resends,
                        ) =>
            {
                let without_witness = witness != Witness::Seen;
                if look_ups::settle_as_not_sent(&mut conn, attempt, without_witness).await? {
                    CrashPoint::LookUpNotSent.reach();
                    tracing::warn!(attempt.id = %attempt.id, ?witness, "Attempt {} did not reach Gladia; its job is back in line", attempt.id);
                }
                "not_sent"
            }
            Judgement::NotSent => {
                look_ups::leave_to_operator(&mut conn, attempt, false, NEXT_AFTER_DECISION).await?;
                tracing::warn!(attempt.id = %attempt.id, attempt.resends, "Attempt {} was not found at Gladia; whether to send it again is left to an operator", attempt.id);
                "awaiting_decision"
            }
        };
        metrics::counter!("gateway_look_ups_total", "outcome" => outcome).increment(1);
        Ok(())
    }

    /// How long until the next look that may count: soon at first, since a witness may come with the next job, then less and
    /// less often, and in proportion to the time that a walk has to go back.
    fn rest(&self, attempt: &UnknownAttempt, since_send_until: Duration) -> Duration {
        let doublings = u32::try_from(attempt.looks).unwrap_or_default().min(5);
        (self.settling_time / 4 * 2_u32.pow(doublings))
            .min(self.settling_time * 5)
            .max(since_send_until / 8)
    }

    /// Notes that Gladia's list could not be had.
    async fn postpone(&self) -> sqlx::Result<()> {
        let mut conn = self.pool.acquire().await?;
        for attempt in look_ups::list_unknown(&mut conn).await? {
            let (reason, rest) = if attempt.awaits_decision {
                (WaitReason::AwaitingDecision, NEXT_AFTER_DECISION)
            } else {
                (
                    WaitReason::ListUnavailable,
                    self.rest(&attempt, Duration::ZERO),
                )
            };
            look_ups::note_absence(&mut conn, &attempt, Some(reason), rest).await?;
        }
        Ok(())
    }

    /// Keeps the right to look.
    async fn renew(&self) -> Result<(), LookError> {
        let mut conn = self.pool.acquire().await?;
        if in_time(look_ups::hold(&mut conn, &self.worker, HOLD)).await? {
            Ok(())
        } else {
            Err(LookError::HeldElsewhere)
        }
    }
}
