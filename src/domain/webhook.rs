//! What an account webhook says, and what may come of it.

use std::time::Duration;

use super::words::{names, words};

/// What happened to a job of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookEvent {
    /// Gladia accepted it.
    Created,
    /// It is done.
    Success,
    /// It failed.
    Error,
}

names! {
    /// Gladia's name of it, also the one in SQL.
    WebhookEvent:
    Created = "transcription.created",
    Success = "transcription.success",
    Error = "transcription.error",
}

impl WebhookEvent {
    /// How long a message waits before it is handled. What it tells comes another way at the same time, as a rule: in the
    /// create's answer or in the callback. Then there is nothing to ask Gladia for.
    #[must_use]
    pub fn head_start(self) -> Duration {
        match self {
            Self::Created => Duration::from_secs(5),
            Self::Success | Self::Error => Duration::from_secs(10),
        }
    }
}

/// What came of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// An attempt got its id by it.
    Adopted,
    /// A job ended by it.
    Completed,
    /// Nothing was left to learn.
    Known,
    /// The job is none that this gateway sent.
    Foreign,
    /// Gladia does not have the job any more.
    Gone,
    /// It could not be found out: Gladia did not answer for long, or must not be asked.
    GivenUp,
}

impl WebhookOutcome {
    words! {
        /// The name in SQL, logs and metrics.
        as_str(self):
        Adopted = "adopted",
        Completed = "completed",
        Known = "known",
        Foreign = "foreign",
        Gone = "gone",
        GivenUp = "given_up",
    }
}

/// How often a message is tried while Gladia does not answer: for about two hours. What it tells is then found by the
/// looks at what is overdue.
const TRIES: u32 = 12;

/// How long until a message is tried again after Gladia did not answer: 15 s doubling to 15 minutes, and up to a quarter more
/// (`jitter` in 0..1). `None`: it is given up.
#[must_use]
pub fn next_try_in(tries_before: u32, jitter: f64) -> Option<Duration> {
    if tries_before + 1 >= TRIES {
        return None;
    }
    let interval = Duration::from_secs(15 << tries_before.min(6)).min(Duration::from_mins(15));
    Some(interval.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0))
}

/// How often a message is tried before the job that it is about is taken for gone. Which shows first, the message or the job, is not
/// known; nor does one side of Gladia's that lags behind prove anything.
const TRIES_UNTIL_GONE: u32 = 6;

/// Whether a job that Gladia does not have is gone, or may show yet.
#[must_use]
pub fn is_gone(tries_before: u32) -> bool {
    tries_before >= TRIES_UNTIL_GONE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::expected::ABSENT_FOR;

    #[test]
    fn a_message_is_tried_for_about_two_hours() {
        let seconds: Vec<u64> = (0..)
            .map_while(|tries| next_try_in(tries, 0.0))
            .map(|interval| interval.as_secs())
            .collect();
        assert_eq!(
            seconds,
            [15, 30, 60, 120, 240, 480, 900, 900, 900, 900, 900]
        );
    }

    #[test]
    fn a_job_is_gone_after_more_than_ten_minutes() {
        let waited: Duration = (0..100)
            .take_while(|tries| !is_gone(*tries))
            .filter_map(|tries| next_try_in(tries, 0.0))
            .sum();
        assert!(waited >= ABSENT_FOR, "{waited:?}");
        assert!(next_try_in(TRIES_UNTIL_GONE, 0.0).is_some());
    }

    #[test]
    fn events_have_gladias_names() {
        let created: WebhookEvent = "transcription.created".parse().unwrap();
        assert_eq!(created, WebhookEvent::Created);
        assert!("transcription.deleted".parse::<WebhookEvent>().is_err());
    }
}
