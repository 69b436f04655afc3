//! How long dispatch rests after nothing could be sent, and why.

use std::time::Duration;

use super::words::names;

/// No rest is longer, whatever Gladia asks for with `Retry-After`.
pub const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Why dispatch rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseReason {
    /// Gladia cannot be reached.
    GladiaUnreachable,
    /// Gladia answers that it takes no more.
    GladiaBusy,
    /// Gladia refuses the gateway's key, or wants its account paid first.
    GladiaKeyRefused,
    /// Gladia refuses what the gateway adds to every request, such as its callback address.
    GladiaRefusesGateway,
    /// Gladia fails, and each job that is sent may be lost to an unknown outcome and hold its slot.
    GladiaFailing,
}

names! {
    /// The name in SQL and on the command line.
    PauseReason:
    GladiaUnreachable = "gladia_unreachable",
    GladiaBusy = "gladia_busy",
    GladiaKeyRefused = "gladia_key_refused",
    GladiaRefusesGateway = "gladia_refuses_gateway",
    GladiaFailing = "gladia_failing",
}

/// The pause after the `failures`-th failure in a row: 1 s, 2 s, 4 s, … up to 60 s, times a random factor of 0.75 to 1.25
/// (`jitter` in 0..1), so that gateways which share an account do not return together.
#[must_use]
pub fn dispatch_pause(failures: u32, jitter: f64) -> Duration {
    let base =
        Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(Duration::from_mins(1));
    base.mul_f64(0.75 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let seconds: Vec<u64> = (1..=8)
            .map(|failures| dispatch_pause(failures, 0.5).as_secs())
            .collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(dispatch_pause(1, 0.0), Duration::from_millis(750));
    }
}
