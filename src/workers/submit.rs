//! Sending jobs to Gladia: lease, commit, call, record.
//!
//! The claim is committed before anything leaves. Between the claim and the record stands one network call, outside any
//! transaction, bounded well below the lease: whatever happens to this process, the rows say that something may have been
//! sent.

pub mod group_commit;
mod span;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use self::{
    group_commit::AnswerGroupCommit,
    span::{describe, measure_wait},
};
use super::{ERROR_PAUSE, sweep_interval};
use crate::{
    crash_points::CrashPoint,
    db::{
        self,
        attempts::RecordedOutcome,
        claims::{Claim, Claimant, ClaimedJob, MAX_CLAIMED},
        pool::{Pool, in_time},
        wakeups::Wakeups,
    },
    domain::{
        attempt::SubmitOutcome,
        audio_url::without_queries,
        backoff::{PauseReason, dispatch_pause},
        ids::{AttemptId, Ids},
        millis::whole_ms,
    },
    gladia::{
        callback_keys::CallbackKeys, client::GladiaClient, create::create_body,
        guarded_body::SendDeadline,
    },
};

/// What the lease has beyond the send window and the whole of the call: time to record the outcome.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// How long dispatch rests after Gladia refused the key, its account or what the gateway adds. Someone has to act, so looking often
/// would not help.
const GATEWAY_REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// What the caller of a job is told that cannot be sent.
const UNREADABLE: &str = "What was asked for cannot be read from the gateway's database, so nothing was sent to Gladia. Create the \
                          transcription again; another try would end the same way.";

/// Sends queued jobs.
#[derive(Clone)]
pub struct Submitter(Arc<Parts>);

/// What a submitter works with.
pub struct Parts {
    /// The database.
    pub pool: Pool,
    /// Gladia.
    pub gladia: GladiaClient,
    /// Signs callback addresses.
    pub callback_keys: CallbackKeys,
    /// Where Gladia calls back; without it the results are asked for.
    pub callback_base: Option<Url>,
    /// Tells of new jobs and free slots.
    pub wakeups: Wakeups,
    /// Where attempt ids come from.
    pub ids: Ids,
    /// The name of this process.
    pub worker: String,
    /// A claim that was not sent within this is not sent at all.
    pub send_window: Duration,
    /// The process's own clock, by which, too, it is not.
    pub process_now: fn() -> DateTime<Utc>,
    /// False while nothing may be claimed, because callbacks could not come back.
    pub may_claim: watch::Receiver<bool>,
    /// Records what most creates are answered.
    pub answer_group_commit: AnswerGroupCommit,
}

impl Submitter {
    /// Makes one.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Claims and sends until told to stop. Calls under way run on in `tasks`; `give_up` ends them.
    pub async fn run(
        self,
        tasks: TaskTracker,
        stop: CancellationToken,
        give_up: CancellationToken,
    ) {
        let mut may_claim = self.0.may_claim.clone();
        while !stop.is_cancelled() {
            if !*may_claim.borrow() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    // Whoever decides runs as long as this does.
                    _ = may_claim.wait_for(|may_claim| *may_claim) => {}
                }
                continue;
            }
            let rest = match self.claim_all(&tasks, &stop, &give_up).await {
                Ok(rest) => rest,
                Err(error) => {
                    tracing::warn!(%error, "Could not claim jobs; trying again");
                    ERROR_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.wakeups.wait_for_jobs() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Claims whatever can be claimed now. Returns how long to rest at most.
    async fn claim_all(
        &self,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        give_up: &CancellationToken,
    ) -> sqlx::Result<Duration> {
        while !stop.is_cancelled() && *self.0.may_claim.borrow() {
            // Before the claim, so that the time the claim takes counts against the deadline.
            let send_deadline = SendDeadline::after(self.0.send_window, self.0.process_now);
            let attempt_ids: [AttemptId; MAX_CLAIMED] = std::array::from_fn(|_| self.0.ids.next());
            let claimant = Claimant {
                attempt_ids: &attempt_ids,
                key_id: self.0.callback_keys.signing_key_id(),
                worker: &self.0.worker,
                send_window: self.0.send_window,
                lease: self.0.send_window + self.0.gladia.create_timeout() + LEASE_MARGIN,
                is_in_doubt: AtomicBool::new(false),
            };
            let mut conn = self.0.pool.acquire().await?;
            self.0.wakeups.begin_look_at_line();
            CrashPoint::SubmitBeforeClaim.reach();
            let claim = match in_time(db::claims::claim(&mut conn, &claimant)).await {
                Ok(claim) => claim,
                Err(error) => {
                    // What the server refused to commit does not stand.
                    let is_refused =
                        matches!(error, sqlx::Error::Database(_)) && !db::is_unavailable(&error);
                    if claimant.is_in_doubt.into_inner() && !is_refused {
                        let until = Instant::now() + claimant.lease;
                        let (this, stop) = (self.clone(), stop.clone());
                        tasks.spawn(async move {
                            this.take_back(&attempt_ids, until, &stop).await;
                        });
                    }
                    return Err(error);
                }
            };
            conn.put_back();
            match claim {
                Claim::Claimed(jobs) => {
                    CrashPoint::SubmitClaimed.reach();
                    for job in jobs {
                        let (this, give_up) = (self.clone(), give_up.clone());
                        tasks.spawn(async move { this.submit(job, send_deadline, &give_up).await });
                    }
                }
                Claim::NothingQueued => {
                    // Whoever put a job in line since said nothing of it, as long as none could be claimed.
                    if !self.0.wakeups.take_slots_held() {
                        self.0.wakeups.note_line_empty();
                        break;
                    }
                }
                Claim::NoFreeSlot => {
                    self.0.wakeups.note_slots_held();
                    break;
                }
                Claim::Paused { remaining } => return Ok(remaining.min(sweep_interval())),
            }
        }
        Ok(sweep_interval())
    }

    /// Takes back what a claim may have committed, though its answer was lost. Nothing of it was sent or will be, so none of it
    /// has to be unknown. The commit may show late, as where a standby is waited for; a process that stops looks once.
    async fn take_back(&self, attempt_ids: &[AttemptId], until: Instant, stop: &CancellationToken) {
        let mut is_last = false;
        while Instant::now() < until && !is_last {
            is_last = stop.is_cancelled();
            match in_time(self.take_back_what_stands(attempt_ids)).await {
                Ok(0) => {}
                Ok(count) => {
                    tracing::info!(
                        count,
                        "A claim stood whose answer was lost; its jobs are back in line"
                    );
                    self.0.wakeups.jobs_changed();
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "Could not take back a claim yet; trying again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(ERROR_PAUSE) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Of how many attempts of a claim it is recorded that they were not sent. They were committed together, so where there is
    /// one there are all.
    async fn take_back_what_stands(&self, attempt_ids: &[AttemptId]) -> sqlx::Result<usize> {
        let mut conn = self.0.pool.acquire().await?;
        let standing = db::claims::list_submitting(&mut conn, attempt_ids).await?;
        let outcome = SubmitOutcome::NotSent {
            detail: "the database did not say whether it was claimed, so it was not sent".into(),
        };
        for id in &standing {
            db::attempts::record_outcome(&mut conn, *id, &outcome).await?;
        }
        conn.put_back();
        Ok(standing.len())
    }

    /// Sends one job and records what came of it.
    async fn submit(&self, job: ClaimedJob, until: SendDeadline, give_up: &CancellationToken) {
        let started = Instant::now();
        let mut span = measure_wait(&job);
        let outcome = match &job.request {
            Ok(request) => self.send(&job, request, until, give_up).await,
            Err(error) => {
                tracing::error!(%error, job.id = %job.job_id, attempt.id = %job.attempt_id,
                    "What job {} asks for cannot be read; it ends", job.job_id);
                SubmitOutcome::Unreadable {
                    message: UNREADABLE.to_owned(),
                }
            }
        };
        describe(&mut span, &outcome);
        span.end();
        CrashPoint::SubmitAnswered.reach();
        let (name, elapsed_ms) = (outcome.name(), whole_ms(started.elapsed()));
        metrics::counter!("gateway_submissions_total", "outcome" => name).increment(1);
        metrics::histogram!("gateway_submission_duration_seconds")
            .record(started.elapsed().as_secs_f64());
        metrics::histogram!("gateway_job_state_seconds", "state" => "submitting")
            .record(started.elapsed().as_secs_f64());
        if let SubmitOutcome::Unknown {
            http_status,
            detail,
        } = &outcome
        {
            // The outcome that may cost money: whoever reads this wants to know how it came about.
            tracing::warn!(
                job.id = %job.job_id, attempt.id = %job.attempt_id, outcome = name, elapsed_ms,
                http.status = http_status, detail = without_queries(detail),
                "Submitted job {}: {name}", job.job_id
            );
        } else {
            tracing::info!(
                job.id = %job.job_id, attempt.id = %job.attempt_id, outcome = name, elapsed_ms,
                "Submitted job {}: {name}", job.job_id
            );
        }
        // A pause comes first, so that nobody claims at once what the record puts back into the line.
        // A stop says nothing of Gladia.
        if !give_up.is_cancelled()
            && let Err(error) = in_time(self.adjust_dispatch(&job, &outcome)).await
        {
            tracing::warn!(%error, "Could not adjust dispatch");
        }
        match self.record(&job, &outcome, give_up).await {
            Ok(RecordedOutcome::Written | RecordedOutcome::Stale) => {}
            Ok(RecordedOutcome::Contradiction) => {
                metrics::counter!("gateway_contradicting_ids_total").increment(1);
                tracing::error!(job.id = %job.job_id, attempt.id = %job.attempt_id,
                    "Gladia's answer names a job that belongs to another attempt; kept what was known before");
            }
            // The lease runs out, and the attempt is unknown: what happened is not lost, only later known.
            Err(error) => {
                tracing::error!(%error, job.id = %job.job_id, "Could not record an outcome");
            }
        }
        CrashPoint::SubmitRecorded.reach();
        self.0.wakeups.jobs_changed();
    }

    async fn send(
        &self,
        job: &ClaimedJob,
        request: &Value,
        until: SendDeadline,
        give_up: &CancellationToken,
    ) -> SubmitOutcome {
        let base = self.0.callback_base.as_ref();
        let callback_url = base.map(|base| self.0.callback_keys.callback_url(base, job.attempt_id));
        let callback_url = callback_url.as_ref();
        let body = create_body(request, &job.audio_url, callback_url, job.attempt_id);
        tokio::select! {
            outcome = self.0.gladia.create(&body, until) => outcome,
            () = give_up.cancelled() => SubmitOutcome::Unknown {
                http_status: None,
                detail: "the gateway was stopped while it sent the request".into(),
            },
        }
    }

    /// Writes the outcome down, however long the database is away. What is known of an attempt stays true, so it is taken
    /// also after the lease. What the database refuses it would refuse again: that is left to the lease.
    async fn record(
        &self,
        job: &ClaimedJob,
        outcome: &SubmitOutcome,
        give_up: &CancellationToken,
    ) -> sqlx::Result<RecordedOutcome> {
        if let SubmitOutcome::Accepted { gladia_id } = outcome
            && self.0.answer_group_commit.record(job, gladia_id).await
        {
            return Ok(RecordedOutcome::Written);
        }
        loop {
            let recorded = async {
                let mut conn = self.0.pool.acquire().await?;
                let recorded = db::attempts::record_outcome(&mut conn, job.attempt_id, outcome);
                let recorded = recorded.await?;
                conn.put_back();
                Ok(recorded)
            };
            match in_time(recorded).await {
                Err(error)
                    if !give_up.is_cancelled()
                        && (db::is_unavailable(&error) || db::is_conflict(&error)) =>
                {
                    tracing::warn!(%error, job.id = %job.job_id, "Could not record an outcome yet; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(ERROR_PAUSE) => {}
                        () = give_up.cancelled() => {}
                    }
                }
                result => return result,
            }
        }
    }

    /// Rests where nothing can be sent at the moment, for all replicas alike.
    async fn adjust_dispatch(&self, job: &ClaimedJob, outcome: &SubmitOutcome) -> sqlx::Result<()> {
        // The rule, and then nothing is to be changed. A failure since its claim is for the next one to find out about.
        if matches!(outcome, SubmitOutcome::Accepted { .. }) && !job.goes_alone {
            return Ok(());
        }
        let mut conn = self.0.pool.acquire().await?;
        let (reason, at_least) = match outcome {
            SubmitOutcome::Accepted { .. } => {
                db::dispatch::mark_working(&mut conn).await?;
                conn.put_back();
                return Ok(());
            }
            SubmitOutcome::Busy { retry_after, .. } => {
                (PauseReason::GladiaBusy, retry_after.unwrap_or_default())
            }
            SubmitOutcome::KeyRefused {
                http_status,
                message,
            } => {
                tracing::error!(
                    http.status = http_status,
                    gladia.message = message,
                    job.id = %job.job_id,
                    "Gladia refuses {}. Nothing is sent until it accepts a job again; jobs stay queued",
                    match *http_status {
                        402 => "to work before the account of GLADIA_API_KEY is paid for, or maybe what this job asks for",
                        403 => "GLADIA_API_KEY, or maybe what this job asks for",
                        _ => "GLADIA_API_KEY",
                    }
                );
                (PauseReason::GladiaKeyRefused, GATEWAY_REFUSED_PAUSE)
            }
            SubmitOutcome::GatewayRefused {
                http_status,
                message,
            } => {
                tracing::error!(http.status = http_status, gladia.message = message, job.id = %job.job_id,
                    "Gladia refuses what the gateway adds to every job: see whether the host of PUBLIC_URL is a full public name, \
                     without `_` and a dot at its end. Nothing is sent until Gladia accepts a job again; jobs stay queued");
                (PauseReason::GladiaRefusesGateway, GATEWAY_REFUSED_PAUSE)
            }
            SubmitOutcome::NotSent { .. } => (PauseReason::GladiaUnreachable, Duration::ZERO),
            // Without a rest, a minute of 5xx would leave every slot with an attempt that nobody may send again.
            SubmitOutcome::Unknown { .. } => (PauseReason::GladiaFailing, Duration::ZERO),
            SubmitOutcome::Refused { .. } | SubmitOutcome::Unreadable { .. } => return Ok(()),
        };
        let failures = db::dispatch::count_failures(&mut conn).await?;
        let failures = u32::try_from(failures)
            .unwrap_or_default()
            .saturating_add(1);
        let pause = dispatch_pause(failures, rand::random());
        db::dispatch::pause(&mut conn, pause, at_least, reason).await
    }
}
