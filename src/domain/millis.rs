//! Durations as log lines have them.

use std::time::Duration;

/// A duration in milliseconds. As the standard library counts them, JSON lines would have them as text, which nobody can
/// compare.
#[must_use]
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
