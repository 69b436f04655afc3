//! What happened to a job, step by step, from its acceptance to now.
//!
//! The event log says which moves the job made and in which order. What belongs to a move (which attempt, and why) stands
//! in rows that are written over as more becomes known: where they say no more, the step stands there without it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    attempt::AttemptState,
    event::EventType,
    job::{JobErrorType, StatusReason},
};

mod step;
#[cfg(test)]
mod tests;

pub use step::{Step, StepCode, StepReason};

/// How many steps are told at most. A job that waits out a long outage makes two a minute.
const MOST_STEPS: usize = 1000;

/// What the tables say of a job.
#[derive(Debug)]
pub struct History {
    /// Why it is where it is.
    pub status_reason: Option<StatusReason>,
    /// As what it failed, if it did.
    pub error_type: Option<JobErrorType>,
    /// Its moves, in their order. The first is its acceptance.
    pub events: Vec<(EventType, DateTime<Utc>)>,
    /// Its attempts, by their number.
    pub attempts: Vec<RecordedAttempt>,
    /// What came back.
    pub callbacks: Vec<RecordedCallback>,
    /// What Gladia has or had twice.
    pub surplus: Vec<RecordedSurplus>,
    /// The present.
    pub now: DateTime<Utc>,
}

/// An attempt, as far as it explains a step.
#[derive(Debug)]
pub struct RecordedAttempt {
    /// 1, 2, 3 within the job.
    pub number: i32,
    /// Where it is.
    pub state: AttemptState,
    /// The HTTP status of the answer, if there was one.
    pub http_status: Option<i32>,
    /// Whether Gladia is known to have it, or to have had it.
    pub is_at_gladia: bool,
    /// What settled it, where the create's answer did not.
    pub settled_by: Option<StepReason>,
    /// When Gladia was first asked for it and did not have it.
    pub absent_since: Option<DateTime<Utc>>,
}

/// A body that came back.
#[derive(Debug)]
pub struct RecordedCallback {
    /// The number of the attempt that it is about.
    pub attempt: i32,
    /// When it came.
    pub at: DateTime<Utc>,
    /// Whether the gateway asked for it.
    pub was_fetched: bool,
    /// What it did.
    pub outcome: Option<StepReason>,
}

/// A job that Gladia has besides the one that counts.
#[derive(Debug)]
pub struct RecordedSurplus {
    /// The number of the attempt that made it, where one is known to have.
    pub attempt: Option<i32>,
    /// When it became known.
    pub noted_at: DateTime<Utc>,
    /// When Gladia's copy was deleted, or was to be, and what came of it.
    pub ended: Option<(DateTime<Utc>, Option<StepReason>)>,
}

/// What happened to a job.
#[derive(Debug, PartialEq)]
pub struct Timeline {
    /// Oldest first.
    pub steps: Vec<Step>,
    /// How many between the first step and the second one shown are left out.
    pub steps_left_out: usize,
    /// Since when it is where it is.
    pub since: DateTime<Utc>,
    /// How long it took before Gladia was known to have it, all attempts together.
    pub queued: TimeDelta,
    /// How long Gladia was known to be at work on it, all attempts together.
    pub processing: TimeDelta,
}

impl Timeline {
    /// Tells it from what the tables say.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let moves = in_time(history);
        let first = moves.first().map_or(history.now, |(_, at)| *at);
        let mut steps = Vec::new();
        steps_aside(history, &mut steps);
        // Nothing of a job is older than the job, whatever a clock said.
        for step in &mut steps {
            step.at = step.at.max(first);
        }
        steps_of_moves(history, &moves, &mut steps);
        // At the same instant, what came in stands before the move that it caused.
        steps.sort_by_key(|step| (step.at, step.step != StepCode::Accepted));
        let steps_left_out = steps.len().saturating_sub(MOST_STEPS);
        if steps_left_out > 0 {
            steps.drain(1..=steps_left_out);
        }
        let (queued, processing) = waits(history, &moves);
        Self {
            since: moves.last().map_or(first, |(_, at)| *at),
            steps,
            steps_left_out,
            queued,
            processing,
        }
    }
}

/// The moves in their order. The log's order is the true one: where the database's clock was set back, a time is that of
/// the move before.
fn in_time(history: &History) -> Vec<(EventType, DateTime<Utc>)> {
    let mut latest = DateTime::<Utc>::MIN_UTC;
    let events = history.events.iter();
    events
        .map(|(event, at)| {
            latest = latest.max(*at);
            (*event, latest)
        })
        .collect()
}

/// What happened beside the job's own moves.
fn steps_aside(history: &History, steps: &mut Vec<Step>) {
    for attempt in &history.attempts {
        if let Some(at) = attempt.absent_since {
            steps.push(Step::new(StepCode::NotFoundAtGladia, at).of_attempt(attempt.number));
        }
    }
    for callback in &history.callbacks {
        let code = if callback.was_fetched {
            StepCode::ResultFetched
        } else {
            StepCode::CallbackReceived
        };
        let step = Step::new(code, callback.at).of_attempt(callback.attempt);
        steps.push(step.because(callback.outcome));
    }
    for surplus in &history.surplus {
        let noted = Step::new(StepCode::SurplusFound, surplus.noted_at);
        steps.push(noted.of_attempt(surplus.attempt));
        if let Some((at, outcome)) = surplus.ended {
            let ended = Step::new(StepCode::SurplusDeleted, at).of_attempt(surplus.attempt);
            steps.push(ended.because(outcome));
        }
    }
}

/// The job's own moves, each with the attempt that made it and why.
fn steps_of_moves(history: &History, moves: &[(EventType, DateTime<Utc>)], steps: &mut Vec<Step>) {
    let submissions = moves
        .iter()
        .filter(|(event, _)| *event == EventType::Submitting);
    // Those whose moves are gone from the log come first.
    let mut claimed =
        i32::try_from(history.attempts.len().saturating_sub(submissions.count())).unwrap_or(0);
    // The attempt that is open.
    let mut open: Option<i32> = None;
    for (index, (event, at)) in moves.iter().enumerate() {
        let is_last = index + 1 == moves.len();
        let at = *at;
        steps.push(match event {
            EventType::Queued => Step::new(StepCode::Accepted, at),
            EventType::Submitting => {
                claimed += 1;
                open = Some(claimed);
                Step::new(StepCode::Submitting, at).of_attempt(claimed)
            }
            EventType::Requeued => {
                let number = open.take();
                let why = find(history, number).and_then(why_not_sent);
                Step::new(StepCode::NotSent, at)
                    .of_attempt(number)
                    .because(why)
            }
            EventType::Unknown => Step::new(StepCode::OutcomeUnknown, at).of_attempt(open),
            EventType::Processing => {
                open = open.or_else(|| older_at_gladia(history, claimed));
                let by = find(history, open).and_then(|attempt| attempt.settled_by);
                Step::new(StepCode::Processing, at)
                    .of_attempt(open)
                    .because(by)
            }
            EventType::Done => {
                let completed =
                    |callback: &&RecordedCallback| callback.outcome == Some(StepReason::Completed);
                let callback = history.callbacks.iter().find(completed);
                Step::new(StepCode::Done, at).of_attempt(callback.map(|callback| callback.attempt))
            }
            EventType::Error => {
                let number = open.take();
                let kind = if is_last { history.error_type } else { None };
                let kind = kind.or_else(|| find(history, number).and_then(why_failed));
                Step::new(StepCode::Error, at)
                    .of_attempt(number)
                    .because(kind.map(StepReason::from))
            }
            EventType::Retried => Step::new(StepCode::Retried, at),
            EventType::Canceled => {
                let why = match history.status_reason {
                    Some(StatusReason::CanceledBeforeSubmission) => {
                        Some(StepReason::CanceledBeforeSubmission)
                    }
                    Some(StatusReason::CanceledInFlight) => Some(StepReason::CanceledInFlight),
                    _ => None,
                };
                Step::new(StepCode::Canceled, at)
                    .of_attempt(open)
                    .because(why)
            }
            // Its content is erased, and its timeline with it.
            // The last two are no events of a job.
            EventType::Deleted | EventType::EndpointDisabled | EventType::EndpointTest => continue,
        });
    }
}

fn find(history: &History, number: Option<i32>) -> Option<&RecordedAttempt> {
    let number = number?;
    let mut attempts = history.attempts.iter();
    attempts.find(|attempt| attempt.number == number)
}

/// The attempt that Gladia turned out to have while its job waited in line: one of those claimed by then, if only one can be
/// meant.
fn older_at_gladia(history: &History, claimed: i32) -> Option<i32> {
    let mut known = history
        .attempts
        .iter()
        .filter(|attempt| attempt.number <= claimed && attempt.is_at_gladia);
    match (known.next(), known.next()) {
        (Some(only), None) => Some(only.number),
        _ => None,
    }
}

fn why_not_sent(attempt: &RecordedAttempt) -> Option<StepReason> {
    match (attempt.state, attempt.http_status, attempt.settled_by) {
        (AttemptState::NotSent, Some(429), _) => Some(StepReason::GladiaBusy),
        (AttemptState::NotSent, _, None) => Some(StepReason::FailedBeforeSending),
        (AttemptState::NotSent, _, by @ Some(StepReason::LookUp | StepReason::Operator)) => by,
        (AttemptState::Refused, ..) => Some(StepReason::GladiaKeyRefused),
        // Taken up again since.
        _ => None,
    }
}

fn why_failed(attempt: &RecordedAttempt) -> Option<JobErrorType> {
    match (attempt.state, attempt.settled_by) {
        // What was to be sent could not be read.
        (AttemptState::Refused, _) | (AttemptState::NotSent, None) => {
            Some(JobErrorType::GladiaRefused)
        }
        (AttemptState::Error, _) => Some(JobErrorType::TranscriptionFailed),
        (AttemptState::Expired, Some(StepReason::Operator)) => Some(JobErrorType::OutcomeUnknown),
        (AttemptState::Expired, _) => Some(JobErrorType::ResultMissing),
        // A success arrived since.
        _ => None,
    }
}

/// How long it stood before Gladia was known to have it, and how long with Gladia.
fn waits(history: &History, moves: &[(EventType, DateTime<Utc>)]) -> (TimeDelta, TimeDelta) {
    let (mut queued, mut processing) = (TimeDelta::zero(), TimeDelta::zero());
    for (index, (event, at)) in moves.iter().enumerate() {
        let until = moves.get(index + 1).map_or(history.now, |(_, next)| *next);
        let lasted = (until - *at).max(TimeDelta::zero());
        match event {
            EventType::Queued
            | EventType::Submitting
            | EventType::Requeued
            | EventType::Unknown
            | EventType::Retried => queued += lasted,
            EventType::Processing => processing += lasted,
            EventType::Done
            | EventType::Error
            | EventType::Canceled
            | EventType::Deleted
            | EventType::EndpointDisabled
            | EventType::EndpointTest => {}
        }
    }
    (queued, processing)
}
