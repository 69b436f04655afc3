//! Finding out whether an attempt of unknown outcome reached Gladia.
//!
//! Every attempt carries its id in its metadata, so Gladia's list can tell. A few attempts are asked for one by one, with
//! the metadata filter ([`one_by_one`]); more, or where the filter is not proven to work, by walking the list over the time in
//! question and comparing ourselves ([`sweep`]). What is found is adopted. Not finding it counts by the rules of [`settling`] alone:
//! late enough, twice, and with a witness, a job accepted later that the same look did find.
//!
//! [`settling`]: crate::domain::settling

mod conclude;
mod one_by_one;
mod sightings;
mod sweep;
mod witness;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

pub use self::sightings::Sightings;
use self::{
    sweep::Walk,
    witness::{MAX_SKEW, claimed_from, oldest, witness_of, witnessed_from},
};
use super::{ERROR_PAUSE, sweep_interval};
use crate::{
    db::{
        attempts::{
            adoption::{Adopted, FoundBy, adopt},
            look_ups::{self, Candidate, UnknownAttempt},
        },
        clock,
        pool::{Pool, in_time},
        wakeups::Wakeups,
    },
    domain::{
        ids::AttemptId,
        settling::{LOOK_HOLD, UnknownReason},
        words::words,
    },
    gladia::{client::GladiaClient, error::GladiaError, list::ListedJob},
};

/// Up to this many attempts are asked for one by one; more share a walk through the list.
const ONE_BY_ONE: usize = 5;

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
    /// How long a create may be under way after its claim: until it is sent, and from then until it is answered.
    pub create_may_take: Duration,
    /// For how long this process has known what is open.
    pub sightings: Sightings,
    /// Whether what provably was not sent is sent again without an operator.
    pub may_resend: bool,
}

/// What came of a look for an attempt that is not only waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// Gladia has it.
    Found,
    /// Gladia does not have it, which counts once.
    Absent,
    /// It did not reach Gladia.
    NotSent,
    /// Gladia's list could not be had.
    Failed,
    /// Gladia does not answer what is asked for by metadata.
    FilterRefused,
}

impl Looked {
    words! {
        /// The name in metrics.
        as_str(self):
        Found = "found",
        Absent = "absent",
        NotSent = "not_sent",
        Failed = "failed",
        FilterRefused = "filter_refused",
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("gateway_look_ups_total", "outcome" => outcome).increment(1);
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
    #[error("the list says that there is more, and does not show it")]
    Withheld,
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
                count(Looked::Failed.as_str());
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
        let open = look_ups::list_open(&mut conn, self.settling_time, NEXT_AFTER_DECISION).await?;
        self.sightings.note(&open);
        Ok(open.iter().any(|attempt| attempt.is_due)
            && look_ups::hold(&mut conn, &self.worker, LOOK_HOLD).await?)
    }

    /// Gives the right to look back.
    async fn release(&self) -> sqlx::Result<()> {
        let mut conn = self.pool.acquire().await?;
        look_ups::release(&mut conn, &self.worker).await
    }

    /// What is unknown at this instant, and what may be a witness.
    async fn list(&self) -> sqlx::Result<(DateTime<Utc>, Vec<UnknownAttempt>, Vec<Candidate>)> {
        let mut conn = self.pool.acquire().await?;
        let started_at = clock::now(&mut conn).await?;
        let unknown = look_ups::list_unknown(&mut conn).await?;
        let instants: Vec<_> = unknown
            .iter()
            // Whether one that waits for an operator is sent again is no longer up to a look.
            .filter(|attempt| !attempt.is_left_to_operator())
            .map(|attempt| witnessed_from(attempt, self.settling_time))
            .collect();
        let candidates = look_ups::list_candidates(&mut conn, &instants, started_at).await?;
        Ok((started_at, unknown, candidates))
    }

    /// One look at everything that is unknown.
    async fn look(&self) -> Result<(), LookError> {
        self.sightings.begin_look();
        let (started_at, unknown, candidates) = in_time(self.list()).await?;
        let is_any_resent_blindly = unknown.iter().any(|attempt| attempt.was_resent_blindly);
        let (undecided, mut open): (Vec<_>, Vec<_>) = unknown
            .into_iter()
            .partition(UnknownAttempt::is_left_to_operator);
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
        let Some(first) = attempts.iter().map(claimed_from).min() else {
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
                count(Looked::Found.as_str());
                tracing::info!(attempt.id = %id, "Gladia has attempt {id}, whose outcome was unknown");
            }
        }
        Ok(())
    }

    /// Gladia has an attempt, and its row could not take the id, since another attempt answers for it: an operator's word on
    /// that one was wrong, and an operator has to mend it. Changes nothing where the attempt was adopted.
    async fn leave_what_is_still_unknown(&self, attempt: &UnknownAttempt) -> Result<(), LookError> {
        let mut conn = self.pool.acquire().await?;
        let left =
            look_ups::leave_to_operator(&mut conn, attempt, true, NEXT_AFTER_DECISION).await?;
        if left && !attempt.awaits_decision {
            tracing::error!(attempt.id = %attempt.id, "Gladia has attempt {} under an id that another attempt answers for; an operator has to decide", attempt.id);
        }
        Ok(())
    }

    /// Notes that Gladia's list could not be had.
    async fn postpone(&self) -> sqlx::Result<()> {
        let mut conn = self.pool.acquire().await?;
        for attempt in look_ups::list_unknown(&mut conn).await? {
            let (reason, rest) = if attempt.is_left_to_operator() {
                (UnknownReason::AwaitingDecision, NEXT_AFTER_DECISION)
            } else {
                (
                    UnknownReason::ListUnavailable,
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
        if in_time(look_ups::hold(&mut conn, &self.worker, LOOK_HOLD)).await? {
            Ok(())
        } else {
            Err(LookError::HeldElsewhere)
        }
    }
}
