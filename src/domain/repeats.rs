//! Whether a create is the second of one that came just before, or a create of its own.
//!
//! Gladia's own SDKs send a create again by themselves when its connection breaks or the answer is a 5xx, with nothing that
//! says so. What tells the two apart is what is known of the first one's answer.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// SDKs rest for 300 ms before they come again. What comes sooner comes by somebody's own will.
const SOONEST: Duration = Duration::from_millis(250);

/// When they have come at the latest.
const LATEST: Duration = Duration::from_secs(3);

/// For how long a create may count at most, whatever a process is set to.
pub const LONGEST_WINDOW: Duration = Duration::from_mins(10);

/// What begins the SDK's own word in `x-gladia-version`, such as `SdkPython/2.2.1`. A program's own words stand before it.
const SDK: &[u8] = b"Sdk";

/// What is known of a create that has made its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct First {
    /// Until when another may be its second.
    pub counts_until: DateTime<Utc>,
    /// When its answer had left, as far as is known.
    pub answered_at: Option<DateTime<Utc>>,
}

/// What a create is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The second of the first: it gets the same answer.
    Second,
    /// The same, unless it becomes known at once that the first was answered.
    SecondUnlessAnswered,
    /// One of its own.
    New,
}

/// Whether a program sends creates again by itself.
#[must_use]
pub fn comes_again_by_itself(client: &[u8]) -> bool {
    client
        .split(|byte| *byte == b' ')
        .any(|word| word.starts_with(SDK))
}

/// Judges a create that came at `arrived_at`, and is the same to the byte. Nothing that is known of the first can lie further ahead
/// of that than `furthest`, unless the clock has gone back since.
#[must_use]
pub fn judge(
    first: First,
    arrived_at: DateTime<Utc>,
    comes_again_by_itself: bool,
    furthest: Duration,
) -> Verdict {
    let is_far_ahead = |at: DateTime<Utc>| (at - arrived_at).to_std().is_ok_and(|by| by > furthest);
    if is_far_ahead(first.counts_until) || first.answered_at.is_some_and(is_far_ahead) {
        // Nobody knows how long ago that was.
        return Verdict::New;
    }
    let Some(answered_at) = first.answered_at else {
        return if arrived_at < first.counts_until {
            Verdict::SecondUnlessAnswered
        } else {
            Verdict::New
        };
    };
    if arrived_at <= answered_at {
        return Verdict::Second;
    }
    let after = (arrived_at - answered_at).to_std().unwrap_or_default();
    // An answer that left may have been lost behind whatever took it.
    let may_be_lost = comes_again_by_itself && (SOONEST..LATEST).contains(&after);
    if may_be_lost && arrived_at < first.counts_until {
        Verdict::Second
    } else {
        Verdict::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000 + millis).unwrap()
    }

    const FURTHEST: Duration = Duration::from_secs(100);

    fn first(answered_at: Option<i64>) -> First {
        First {
            counts_until: at(30_000),
            answered_at: answered_at.map(at),
        }
    }

    #[test]
    fn an_sdk_is_known_by_its_own_word_whatever_its_program_puts_before_that() {
        for sdk in ["SdkPython/2.2.1", "MyApp/1.0 SdkJavascript/2.1.0"] {
            assert!(comes_again_by_itself(sdk.as_bytes()), "{sdk}");
        }
        for other in ["", "curl/8.5", "MySdk/1.0", "SDK/1"] {
            assert!(!comes_again_by_itself(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn the_same_create_is_the_second_of_one_that_nobody_has_answered() {
        let judged = |arrived| judge(first(None), at(arrived), false, FURTHEST);
        assert_eq!(judged(0), Verdict::SecondUnlessAnswered);
        assert_eq!(judged(29_999), Verdict::SecondUnlessAnswered);
        assert_eq!(judged(30_000), Verdict::New);
    }

    #[test]
    fn what_came_before_the_answer_left_is_answered_alike() {
        for by_itself in [false, true] {
            let judged = |arrived| judge(first(Some(1000)), at(arrived), by_itself, FURTHEST);
            assert_eq!(judged(0), Verdict::Second);
            assert_eq!(judged(1000), Verdict::Second);
            assert_eq!(judged(1001), Verdict::New);
        }
    }

    #[test]
    fn after_the_answer_only_what_an_sdk_sends_by_itself_is_a_second() {
        let judged = |arrived| judge(first(Some(1000)), at(arrived), true, FURTHEST);
        assert_eq!(judged(1249), Verdict::New);
        assert_eq!(judged(1250), Verdict::Second);
        assert_eq!(judged(3999), Verdict::Second);
        assert_eq!(judged(4000), Verdict::New);
        let by_another_program = judge(first(Some(1000)), at(1250), false, FURTHEST);
        assert_eq!(by_another_program, Verdict::New);
        // Its caller went on with the answer.
        let received = First {
            counts_until: at(1000),
            answered_at: Some(at(1000)),
        };
        assert_eq!(judge(received, at(1250), true, FURTHEST), Verdict::New);
    }

    #[test]
    fn what_was_noted_by_a_clock_that_has_gone_back_since_makes_no_second() {
        let judged = |answered, arrived| judge(first(answered), at(arrived), true, FURTHEST);
        // As far ahead as it can be, of one that came long before the first was committed.
        assert_eq!(judged(None, -70_000), Verdict::SecondUnlessAnswered);
        assert_eq!(judged(Some(1000), -70_000), Verdict::Second);
        assert_eq!(judged(None, -70_001), Verdict::New);
        assert_eq!(judged(Some(1000), -70_001), Verdict::New);
        assert_eq!(judged(Some(31_000), -69_001), Verdict::New);
    }

    #[test]
    fn sdks_say_who_they_are() {
        assert!(comes_again_by_itself(b"SdkPython/2.2.1"));
        assert!(!comes_again_by_itself(b"cli/1.0"));
        assert!(!comes_again_by_itself(b""));
    }
}
