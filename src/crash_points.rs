//! Where a process can be made to die, for tests that show what the others make of it.
//!
//! The list below names every step of submitting, of taking a callback and of telling callers between which the world changes: a row was
//! committed, a body was read, an answer came. With `GATEWAY_CRASH_AT=submit.claimed` the process ends itself there, as
//! abruptly as it can (`SIGABRT`, nothing is cleaned up); with `GATEWAY_CRASH_AT=submit.claimed:3` the third time that it
//! comes by. This is a tool for developers, so it is not in `--help`, and it exists only with the feature `dev-tools`: no
//! environment variable can crash a production image.
//!
//! `tests/api/crash_points.rs` kills a process at each point and says what must become of the job.

/// Makes the list, so that no point can be left out of [`CrashPoint::ALL`].
macro_rules! crash_points {
    ($($(#[$doc:meta])+ $point:ident = $name:literal,)+) => {
        /// A step before which, or after which, a process may die.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum CrashPoint {
            $($(#[$doc])+ $point,)+
        }

        impl CrashPoint {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$point,)+];

            /// The name by which `GATEWAY_CRASH_AT` knows it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

crash_points! {
    /// A claim is about to be tried.
    SubmitBeforeClaim = "submit.before_claim",
    /// Slot and attempt are committed; nothing was sent.
    SubmitClaimed = "submit.claimed",
    /// The transport asks for the body, which is in time; not a byte of it has left.
    SubmitBodyYielded = "submit.body_yielded",
    /// The answer was read; nothing is recorded.
    SubmitAnswered = "submit.answered",
    /// The outcome is committed; nobody was woken.
    SubmitRecorded = "submit.recorded",
    /// An attempt whose lease ended is committed as unknown; nothing else was done about it.
    SettleLeaseExpired = "settle.lease_expired",
    /// An attempt that Gladia does not have is committed as not sent; nobody was woken.
    LookUpNotSent = "look_up.not_sent",
    /// A callback's token is right; its body was not read.
    CallbackVerified = "callback.verified",
    /// A callback's body was read; nothing is kept.
    CallbackReceived = "callback.received",
    /// A callback is committed with what it changed; it was not answered.
    CallbackKept = "callback.kept",
    /// A callback is committed for somebody to look at; it was not answered.
    CallbackQuarantined = "callback.quarantined",
    /// Deliveries are leased; nothing was sent.
    DeliverClaimed = "deliver.claimed",
    /// A delivery was sent; nothing is recorded.
    DeliverSent = "deliver.sent",
}

impl CrashPoint {
    /// Ends the process here, if that is asked for.
    #[inline]
    pub fn reach(self) {
        #[cfg(feature = "dev-tools")]
        switch::reach(self);
    }
}

#[cfg(feature = "dev-tools")]
mod switch {
    use std::{
        str::FromStr,
        sync::{
            OnceLock,
            atomic::{AtomicU32, Ordering},
        },
    };

    use super::CrashPoint;

    const VARIABLE: &str = "GATEWAY_CRASH_AT";

    /// Read once: the environment of a process does not change.
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

    /// Where to die, and how often to come by before.
    #[derive(Debug)]
    pub(super) struct Plan {
        pub(super) point: CrashPoint,
        pub(super) visits: AtomicU32,
    }

    pub(super) fn reach(point: CrashPoint) {
        if let Some(plan) = PLAN.get_or_init(read)
            && plan.is_due(point)
        {
            tracing::error!("Crashing at {}, as {VARIABLE} asks", point.name());
            std::process::abort();
        }
    }

    fn read() -> Option<Plan> {
        let value = std::env::var(VARIABLE).ok()?;
        match value.parse() {
            Ok(plan) => Some(plan),
            // Whoever waits for a crash that never comes would wait long.
            Err(error) => {
                tracing::error!("{VARIABLE}: {error}");
                std::process::exit(2);
            }
        }
    }

    impl Plan {
        /// Counts a visit. Whether it is the one to die at.
        pub(super) fn is_due(&self, point: CrashPoint) -> bool {
            self.point == point && self.visits.fetch_sub(1, Ordering::SeqCst) == 1
        }
    }

    impl FromStr for Plan {
        type Err = String;

        fn from_str(text: &str) -> Result<Self, String> {
            let (name, visits) = text.split_once(':').unwrap_or((text, "1"));
            let known = CrashPoint::ALL.iter().copied();
            let point = known
                .clone()
                .find(|point| point.name() == name)
                .ok_or_else(|| {
                    let names: Vec<_> = known.map(CrashPoint::name).collect();
                    format!(
                        "there is no crash point {name:?}; there are {}",
                        names.join(", ")
                    )
                })?;
            let visits = visits
                .parse()
                .ok()
                .filter(|visits| *visits > 0)
                .ok_or_else(|| format!("{visits:?} must be a number from 1"))?;
            Ok(Self {
                point,
                visits: AtomicU32::new(visits),
            })
        }
    }
}

#[cfg(all(test, feature = "dev-tools"))]
mod tests {
    use super::{CrashPoint, switch::Plan};

    #[test]
    fn a_point_is_known_by_its_name_and_due_at_the_visit_that_is_named() {
        for point in CrashPoint::ALL {
            let plan: Plan = point.name().parse().unwrap();
            assert_eq!(plan.point, *point);
            assert!(plan.is_due(*point));
            let plan: Plan = format!("{}:3", point.name()).parse().unwrap();
            let due: Vec<bool> = (0..4).map(|_| plan.is_due(*point)).collect();
            assert_eq!(due, [false, false, true, false]);
        }
        let plan: Plan = "submit.claimed".parse().unwrap();
        assert!(!plan.is_due(CrashPoint::SubmitAnswered));
    }

    #[test]
    fn what_names_no_point_is_refused_with_the_names_that_there_are() {
        let error = "submit.claim".parse::<Plan>().unwrap_err();
        assert!(error.contains("submit.claimed"), "{error}");
        for visits in ["0", "-1", "many", ""] {
            assert!(
                format!("submit.claimed:{visits}").parse::<Plan>().is_err(),
                "{visits}"
            );
        }
    }
}
