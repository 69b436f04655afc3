//! The simulator's clock and its way of writing instants.

use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};

/// The current instant, as fine as it is [shown](iso): what a list shows is not later than itself. The simulator is a world of its
/// own, so it alone reads the system's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the simulator stands for another company's servers, whose clock is not ours to pass in"
)]
pub(super) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

/// As Gladia writes instants: milliseconds and `Z`.
pub(super) fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
