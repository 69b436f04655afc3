//! When a delivery is tried again, and when its receiver is left alone: the whole of it as data, in this one place.
//!
//! A delivery is tried at once and then after each of [`RETRY_DELAYS`]; after the last it is dead. All deliveries of a lane
//! share a circuit breaker ([`LaneHealth`]): a receiver that fails again and again is left alone for a while, then asked with
//! one delivery at a time, until one gets through. What waits meanwhile waits for no longer than [`LONGEST_WAIT`].

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// How long a delivery is leased to the process that sends it. A send and what comes before it take far less.
pub const LEASE: Duration = Duration::from_secs(45);

/// How long after each failed try the next one follows: 11 tries within 27.7 h, and within 33.3 h with the most jitter.
pub const RETRY_DELAYS: [Duration; 10] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(2),
    Duration::from_hours(4),
    Duration::from_hours(8),
    Duration::from_hours(12),
];

/// How much jitter adds at most. It never takes away, so that a schedule lasts for as long as it says.
const MOST_JITTER: f64 = 0.2;

/// The longest rest that a receiver's `Retry-After` can ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(24);

/// What still waits after this, at a receiver that fails, is not tried any more: longer than every schedule lasts.
pub const LONGEST_WAIT: Duration = Duration::from_hours(36);

/// After so many failures in a row the circuit opens.
const FAILURES_TO_OPEN: u32 = 5;

/// For how long it opens first. Every failure after that doubles it.
const FIRST_OPENING: Duration = Duration::from_secs(30);

/// For how long it opens at most.
const LONGEST_OPENING: Duration = Duration::from_mins(15);

/// An endpoint that has failed for this long without a success is disabled.
const FAILING_TOO_LONG: TimeDelta = TimeDelta::days(5);

/// But not for fewer failures than this.
const FAILURES_TO_DISABLE: u32 = 20;

/// How long the next try waits after the `tries`-th one failed. `None`: it was the last.
///
/// `jitter` is random in 0..1. A receiver that wants to be left alone for longer is.
#[must_use]
pub fn next_try_in(tries: u32, retry_after: Option<Duration>, jitter: f64) -> Option<Duration> {
    let index = usize::try_from(tries.checked_sub(1)?).ok()?;
    let delay = jittered(*RETRY_DELAYS.get(index)?, jitter);
    Some(delay.max(bounded(retry_after.unwrap_or_default())))
}

/// [`RETRY_DELAYS`] with the most jitter.
pub fn longest_retry_delays() -> impl Iterator<Item = Duration> {
    RETRY_DELAYS.into_iter().map(|delay| jittered(delay, 1.0))
}

fn jittered(delay: Duration, jitter: f64) -> Duration {
    delay.mul_f64(1.0 + MOST_JITTER * jitter.clamp(0.0, 1.0))
}

fn bounded(retry_after: Duration) -> Duration {
    retry_after.min(LONGEST_RETRY_AFTER)
}

/// How the receiver of a lane is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneHealth {
    /// Failures since the last success. What fails while the circuit is open was under way before, and is not counted.
    pub failures: u32,
    /// Since when nothing gets through.
    pub failing_since: Option<DateTime<Utc>>,
    /// The circuit is open until then, and half open afterwards.
    pub open_until: Option<DateTime<Utc>>,
    /// When something got through last. Kept even if the clock has gone back since, so that `far_ahead` finds what the wrong clock
    /// put off.
    pub last_success_at: Option<DateTime<Utc>>,
    /// When something failed last.
    pub last_failure_at: Option<DateTime<Utc>>,
}

/// What a try says of its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It takes what it is sent.
    Works,
    /// It does not.
    Fails {
        /// It answers that it wants to be left alone, all of it, for so long (429 and 503 with `Retry-After`).
        rest: Option<Duration>,
    },
}

impl LaneHealth {
    /// After one more try.
    #[must_use]
    pub fn after(self, sign: Sign, now: DateTime<Utc>, jitter: f64) -> Self {
        let rest = match sign {
            Sign::Works => {
                return Self {
                    // Nothing is leased while a receiver rests, so what gets through then was leased before, and knows nothing of it.
                    open_until: self.open_until.filter(|until| *until > now),
                    last_success_at: self.last_success_at.max(Some(now)),
                    last_failure_at: self.last_failure_at,
                    ..Self::default()
                };
            }
            Sign::Fails { rest } => rest,
        };
        let is_open = self.open_until.is_some_and(|until| until > now);
        let failures = if is_open {
            self.failures
        } else {
            self.failures.saturating_add(1)
        };
        let opening = (!is_open)
            .then(|| opening(failures))
            .flatten()
            .map(|opening| jittered(opening, jitter));
        let until = opening.max(rest.map(bounded)).map(|rest| now + rest);
        Self {
            failures,
            failing_since: self.failing_since.or(Some(now)),
            open_until: self.open_until.max(until),
            last_success_at: self.last_success_at,
            last_failure_at: self.last_failure_at.max(Some(now)),
        }
    }

    /// Whether nothing has got through for so long that the receiver is given up.
    #[must_use]
    pub fn is_given_up(&self, now: DateTime<Utc>) -> bool {
        let is_long = |since| now - since >= FAILING_TOO_LONG;
        self.failures >= FAILURES_TO_DISABLE && self.failing_since.is_some_and(is_long)
    }
}

/// For how long the circuit opens with this failure, if it does.
fn opening(failures: u32) -> Option<Duration> {
    let doublings = failures.checked_sub(FAILURES_TO_OPEN)?;
    let factor = 1 << doublings.min(10);
    Some((FIRST_OPENING * factor).min(LONGEST_OPENING))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILS: Sign = Sign::Fails { rest: None };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn failing(failures: u32) -> LaneHealth {
        (0..failures).fold(LaneHealth::default(), |lane, _| LaneHealth {
            // Each comes after the rest that the one before it brought about.
            open_until: None,
            ..lane.after(FAILS, at(0), 0.0)
        })
    }

    #[test]
    fn a_delivery_is_tried_eleven_times_over_more_than_a_day() {
        let delays: Vec<u64> = (1..=11)
            .map_while(|tries| next_try_in(tries, None, 0.0))
            .map(|delay| delay.as_secs())
            .collect();
        assert_eq!(
            delays,
            [5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 43200]
        );
        assert_eq!(next_try_in(11, None, 0.0), None);
        assert_eq!(next_try_in(u32::MAX, None, 1.0), None);
        let all: Duration = RETRY_DELAYS.iter().sum();
        assert!(all > Duration::from_hours(24));
        assert!(jittered(all, 1.0) < LONGEST_WAIT);
    }

    #[test]
    fn a_try_does_not_hide_that_the_clock_was_ahead() {
        let lane = LaneHealth {
            last_failure_at: Some(at(3600)),
            last_success_at: Some(at(7200)),
            ..LaneHealth::default()
        };
        for sign in [FAILS, Sign::Works] {
            let after = lane.clone().after(sign, at(0), 0.0);
            assert_eq!(after.last_failure_at, lane.last_failure_at);
            assert_eq!(after.last_success_at, lane.last_success_at);
        }
    }

    #[test]
    fn jitter_only_adds() {
        assert_eq!(next_try_in(1, None, 0.5), Some(Duration::from_millis(5500)));
        assert_eq!(next_try_in(1, None, 9.0), Some(Duration::from_secs(6)));
        let longest: Vec<_> = (1..)
            .map_while(|tries| next_try_in(tries, None, 1.0))
            .collect();
        assert!(longest_retry_delays().eq(longest));
    }

    #[test]
    fn the_later_of_schedule_and_retry_after_counts_and_a_day_is_the_most() {
        let with = |seconds| next_try_in(2, Some(Duration::from_secs(seconds)), 0.0);
        assert_eq!(with(7), Some(Duration::from_secs(30)));
        assert_eq!(with(70), Some(Duration::from_secs(70)));
        assert_eq!(with(u64::MAX), Some(LONGEST_RETRY_AFTER));
        // The last try was the last one, whatever the receiver asks for.
        assert_eq!(next_try_in(11, Some(Duration::from_secs(1)), 0.0), None);
    }

    #[test]
    fn the_circuit_opens_after_five_failures_and_for_twice_as_long_with_each_further_one() {
        let openings: Vec<Option<i64>> = (1..=11)
            .map(|failures| {
                let lane = failing(failures - 1).after(FAILS, at(0), 0.0);
                lane.open_until.map(|until| (until - at(0)).num_seconds())
            })
            .collect();
        assert_eq!(openings[..4], [None; 4]);
        let seconds: Vec<i64> = openings.into_iter().flatten().collect();
        assert_eq!(seconds, [30, 60, 120, 240, 480, 900, 900]);
        let jittered = failing(4).after(FAILS, at(0), 1.0);
        assert_eq!(jittered.open_until, Some(at(36)));
    }

    #[test]
    fn what_was_under_way_when_the_circuit_opened_does_not_keep_it_open() {
        let open = failing(4).after(FAILS, at(0), 0.0);
        let later = open.clone().after(FAILS, at(2), 0.0);
        assert_eq!(later.failures, 5);
        assert_eq!(later.open_until, Some(at(30)));
        assert_eq!(later.last_failure_at, Some(at(2)));
        assert_eq!(later.after(FAILS, at(31), 0.0).open_until, Some(at(91)));
    }

    #[test]
    fn one_success_closes_the_circuit_and_forgets_the_failures() {
        let lane = failing(7)
            .after(FAILS, at(0), 0.0)
            .after(Sign::Works, at(3600), 0.0);
        let expected = LaneHealth {
            last_success_at: Some(at(3600)),
            last_failure_at: Some(at(0)),
            ..LaneHealth::default()
        };
        assert_eq!(lane, expected);
    }

    #[test]
    fn a_success_that_was_under_way_when_the_circuit_opened_does_not_close_it() {
        let open = failing(4).after(FAILS, at(2), 0.0);
        let lane = open.clone().after(Sign::Works, at(5), 0.0);
        assert_eq!((lane.failures, lane.failing_since), (0, None));
        assert_eq!(lane.open_until, open.open_until);
        // Once its time is over nothing is to be closed.
        assert_eq!(open.after(Sign::Works, at(32), 0.0).open_until, None);
    }

    #[test]
    fn a_receiver_that_wants_a_rest_gets_it_at_its_first_failure() {
        let asks = |seconds| Sign::Fails {
            rest: Some(Duration::from_secs(seconds)),
        };
        let lane = LaneHealth::default().after(asks(90), at(0), 0.0);
        assert_eq!(lane.open_until, Some(at(90)));
        // Another answer that asks for less does not shorten it, one that asks for more makes it longer.
        let lane = lane.after(asks(10), at(1), 0.0);
        assert_eq!(lane.open_until, Some(at(90)));
        let lane = lane.after(asks(u64::MAX), at(2), 0.0);
        assert_eq!(lane.open_until, Some(at(2 + 24 * 3600)));
        assert_eq!(lane.failures, 1);
    }

    #[test]
    fn a_receiver_is_given_up_after_days_and_many_failures_and_not_before() {
        let days = |days: i64| at(days * 24 * 3600);
        assert!(failing(20).is_given_up(days(5)));
        assert!(!failing(20).is_given_up(days(4)));
        assert!(!failing(19).is_given_up(days(50)));
        assert!(!LaneHealth::default().is_given_up(days(50)));
    }
}
