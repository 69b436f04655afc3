//! The verdict: what has to hold, and what does not.

#[cfg(test)]
mod tests;
mod told;

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{facts::Facts, load::Order, upstream::UpstreamJob};
use crate::db::invariants::JobFacts;

/// How a job ends whose audio cannot be transcribed.
const FAILED: &str = "transcription_failed";

/// The statuses of jobs that have ended.
const ENDED: [&str; 3] = ["done", "error", "canceled"];

/// What came of a run.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Accepted jobs without their transcript.
    pub lost: BTreeSet<Uuid>,
    /// Jobs that Gladia has more than once, unknown to the gateway.
    pub doubled: BTreeSet<Uuid>,
    /// By how many the cap was passed, beyond what known surplus explains.
    pub over_cap: u64,
    /// How many events were not told to somebody who should have been, and callbacks not made.
    pub untold: usize,
    /// How many were told again, or out of order, to somebody who must be told once.
    pub retold: usize,
    /// Every way in which something does not hold, with the ids that it is about.
    pub violations: Vec<String>,
    /// What holds, and is worth knowing.
    pub notes: Vec<String>,
}

impl Verdict {
    /// Whether everything holds.
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }

    fn violated(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    fn lose(&mut self, job: Uuid, why: &str) {
        self.lost.insert(job);
        self.violated(format!("lost: job {job}: {why}"));
    }
}

/// Judges a run.
pub fn judge(facts: &Facts) -> Verdict {
    let mut verdict = Verdict::default();
    let orders = orders_by_job(facts);
    let upstream = upstream_by_job(facts, &mut verdict);
    check_acceptance(facts, &orders, &mut verdict);
    for job in &facts.jobs {
        let made = upstream.get(&job.id.0).map_or(&[][..], Vec::as_slice);
        check_job(
            facts,
            job,
            orders.get(&job.id.0).copied(),
            made,
            &mut verdict,
        );
    }
    check_surplus(facts, &upstream, &mut verdict);
    check_cap(facts, &upstream, &mut verdict);
    check_rest(facts, &mut verdict);
    told::check(facts, &orders, &mut verdict);
    verdict
}

/// The order of each job that a caller was told of.
fn orders_by_job(facts: &Facts) -> HashMap<Uuid, &Order> {
    let jobs = facts.accepted.jobs.iter().zip(&facts.orders);
    jobs.filter_map(|(job, order)| Some(((*job)?, order)))
        .collect()
}

/// What Gladia has of each job.
fn upstream_by_job<'a>(
    facts: &'a Facts,
    verdict: &mut Verdict,
) -> HashMap<Uuid, Vec<&'a UpstreamJob>> {
    let attempts: HashMap<Uuid, Uuid> = facts
        .attempts
        .iter()
        .map(|attempt| (attempt.id.0, attempt.job_id.0))
        .collect();
    let mut by_job: HashMap<Uuid, Vec<&UpstreamJob>> = HashMap::new();
    for made in &facts.ledger.jobs {
        match made.attempt().and_then(|attempt| attempts.get(&attempt)) {
            Some(job) => by_job.entry(*job).or_default().push(made),
            None => verdict.violated(format!(
                "Gladia's job {} is of no attempt that the database has",
                made.id
            )),
        }
    }
    by_job
}

fn check_acceptance(facts: &Facts, orders: &HashMap<Uuid, &Order>, verdict: &mut Verdict) {
    for (order, job) in facts.orders.iter().zip(&facts.accepted.jobs) {
        if job.is_none() {
            verdict.violated(format!("order {} was never accepted", order.number));
        }
    }
    for wrong in &facts.accepted.wrong {
        verdict.violated(format!("a caller got a wrong answer: {wrong}"));
    }
    let rows: HashSet<Uuid> = facts.jobs.iter().map(|job| job.id.0).collect();
    for job in orders.keys().filter(|job| !rows.contains(job)) {
        verdict.lose(*job, "accepted, and not in the database");
    }
}

fn check_job(
    facts: &Facts,
    job: &JobFacts,
    order: Option<&Order>,
    made: &[&UpstreamJob],
    verdict: &mut Verdict,
) {
    let id = job.id.0;
    let Some(order) = order else {
        verdict.violated(format!(
            "job {id}: no caller was told of it, so its key made another one as well"
        ));
        return;
    };
    if job.keys != 1 {
        verdict.violated(format!(
            "job {id}: {} idempotency keys lead to it",
            job.keys
        ));
    }
    if job.endings_told == 0 && ENDED.contains(&job.status.as_str()) {
        verdict.violated(format!("job {id}: no event says that it ended"));
    }
    match (job.status.as_str(), order.fails) {
        ("done", false) => check_result(facts, job, made, verdict),
        ("error", true) if job.error_type.as_deref() == Some(FAILED) => {
            if made.iter().all(|made| made.status != "error") {
                verdict.violated(format!(
                    "job {id} failed, and no job of Gladia's for it did"
                ));
            }
        }
        (status, _) => verdict.lose(
            id,
            &format!(
                "it is {status} (reason {}, error {}), Gladia has it {} times",
                job.status_reason.as_deref().unwrap_or("none"),
                job.error_type.as_deref().unwrap_or("none"),
                made.len()
            ),
        ),
    }
}

/// Whether the caller gets what Gladia made, byte for byte.
fn check_result(facts: &Facts, job: &JobFacts, made: &[&UpstreamJob], verdict: &mut Verdict) {
    let id = job.id.0;
    let Some(source) = made
        .iter()
        .find(|made| job.gladia_id.as_deref() == Some(made.id.to_string().as_str()))
    else {
        let by = job.gladia_id.as_deref().unwrap_or("(none)");
        return verdict.lose(
            id,
            &format!("it is done by Gladia's job {by}, which was not made for it"),
        );
    };
    match (facts.results.get(&id), source.result_sha256.as_deref()) {
        (Some(Ok(got)), Some(expected)) if got == expected => {}
        (Some(Ok(_)), Some(_)) => verdict.lose(id, "its result is not what Gladia made"),
        (Some(Ok(_)), None) => verdict.lose(id, "Gladia never finished it"),
        (Some(Err(error)), _) => verdict.lose(id, &format!("its result cannot be had: {error}")),
        (None, _) => verdict.lose(id, "its result was not there when it was fetched"),
    }
}

/// Jobs that Gladia has twice: each that is one too many has to be on record, and to have one of the causes that cannot
/// be helped.
fn check_surplus(
    facts: &Facts,
    upstream: &HashMap<Uuid, Vec<&UpstreamJob>>,
    verdict: &mut Verdict,
) {
    let recorded: HashSet<(Uuid, &str)> = facts
        .surplus
        .iter()
        .map(|surplus| (surplus.job_id.0, surplus.gladia_id.as_str()))
        .collect();
    for (job, made) in upstream {
        let ids: Vec<String> = made.iter().map(|made| made.id.to_string()).collect();
        let unrecorded: Vec<&String> = ids
            .iter()
            .filter(|id| !recorded.contains(&(*job, id.as_str())))
            .collect();
        let (times, all) = (ids.len(), ids.join(", "));
        match (unrecorded.len(), explanation(facts, *job, made)) {
            (1, _) if times == 1 => {}
            (1, Some(why)) => verdict.notes.push(format!(
                "surplus: Gladia has job {job} {times} times, which is on record; {why}: {all}"
            )),
            (0, _) => verdict.violated(format!(
                "job {job}: every job of Gladia's for it is recorded as surplus: {all}"
            )),
            (unrecorded, _) => {
                verdict.doubled.insert(*job);
                let but = if unrecorded == 1 {
                    "which is on record, but nothing that was done explains it"
                } else {
                    "and no record says so"
                };
                verdict.violated(format!(
                    "doubled: Gladia has job {job} {times} times, {but}: {all}"
                ));
            }
        }
    }
    for surplus in &facts.surplus {
        let known = upstream.get(&surplus.job_id.0).is_some_and(|made| {
            made.len() > 1
                && made
                    .iter()
                    .any(|made| made.id.to_string() == surplus.gladia_id)
        });
        if !known {
            verdict.violated(format!(
                "job {}: Gladia's job {} is recorded as surplus, and is not",
                surplus.job_id, surplus.gladia_id
            ));
        }
    }
}

/// Why Gladia may have a job twice though nobody made a mistake.
fn explanation(facts: &Facts, job: Uuid, made: &[&UpstreamJob]) -> Option<&'static str> {
    // A list that merely lags is no excuse: that is what witnesses are for.
    let mut orders = facts.accepted.jobs.iter().zip(&facts.orders);
    if orders.any(|(accepted, order)| *accepted == Some(job) && order.hidden) {
        return Some("its lists concealed it");
    }
    let is_late = |made: &UpstreamJob| {
        let mut attempts = facts
            .attempts
            .iter()
            .filter(|attempt| made.attempt() == Some(attempt.id.0));
        attempts.any(|attempt| {
            let mut stills = facts.stills.iter();
            stills.any(|still| still.explains(attempt, made.created_at))
        })
    };
    made.iter()
        .any(|made| is_late(made))
        .then_some("a process stood still while it sent it")
}

/// Jobs that Gladia has more than once are left out: of those, the gateway took one for not sent, and gave its slot to
/// another. The others may never have been more than the cap.
fn check_cap(facts: &Facts, upstream: &HashMap<Uuid, Vec<&UpstreamJob>>, verdict: &mut Verdict) {
    let seen = facts.ledger.counts.max_in_flight_seen;
    let surplus: HashSet<Uuid> = facts
        .surplus
        .iter()
        .map(|surplus| surplus.job_id.0)
        .collect();
    let explained = most_at_once(
        upstream
            .iter()
            .filter(|(job, _)| !surplus.contains(job))
            .flat_map(|(_, made)| made.iter().copied()),
    );
    let unexplained = if surplus.is_empty() { seen } else { explained };
    verdict.over_cap = unexplained.saturating_sub(facts.cap);
    if verdict.over_cap > 0 {
        verdict.violated(format!(
            "over the cap: {unexplained} were in flight at Gladia, surplus aside, and the cap is {}",
            facts.cap
        ));
    } else if seen > facts.cap {
        verdict.notes.push(format!(
            "{seen} were in flight at Gladia, more than the cap of {}, and {explained} without jobs that it had twice",
            facts.cap
        ));
    }
}

/// How many jobs were in flight at the same time.
fn most_at_once<'a>(jobs: impl Iterator<Item = &'a UpstreamJob>) -> u64 {
    // An end sorts before a beginning at the same time.
    let mut changes: Vec<(DateTime<Utc>, i64)> = jobs
        .flat_map(|job| {
            let ended = job.finished_at.map(|at| (at, -1));
            [Some((job.created_at, 1)), ended]
        })
        .flatten()
        .collect();
    changes.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    u64::try_from(most).unwrap_or_default()
}

fn check_rest(facts: &Facts, verdict: &mut Verdict) {
    for attempt in &facts.attempts {
        let holding = match (attempt.finished, attempt.holds_slot) {
            (true, false) => continue,
            (_, true) => ", and holds a slot",
            (false, false) => "",
        };
        verdict.violated(format!(
            "attempt {} of job {} is {}{holding}",
            attempt.id, attempt.job_id, attempt.state
        ));
    }
    if facts.unsettled.held_slots > 0 {
        verdict.violated(format!("{} slots are held", facts.unsettled.held_slots));
    }
    if facts.orphans > 0 {
        verdict.violated(format!("{} references lead nowhere", facts.orphans));
    }
    let truncated: HashSet<Uuid> = facts
        .ledger
        .jobs
        .iter()
        .filter(|made| made.was_truncated())
        .filter_map(UpstreamJob::attempt)
        .collect();
    for callback in &facts.quarantined {
        if !truncated.contains(&callback.attempt_id.0) {
            verdict.violated(format!(
                "a callback of attempt {} is quarantined ({}), and was not cut",
                callback.attempt_id,
                callback.reason.as_deref().unwrap_or("no reason given")
            ));
        }
    }
    for file in &facts.spooled {
        verdict.violated(format!(
            "a callback was kept on disk and not carried out: {}",
            file.display()
        ));
    }
    for end in &facts.ends {
        verdict.violated(end.clone());
    }
}
