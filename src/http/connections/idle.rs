//! Connections without a request, and which of them gives way.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::http::serve::CutOff;

/// For how long a connection without a request is displaced by nobody: those who connect for one send it within this time.
pub const GRACE: Duration = Duration::from_secs(2);

/// Those that never had a request, and those that rest, each in the order in which they began to be without one.
#[derive(Debug, Default)]
pub(super) struct Idle {
    pub(super) fresh: BTreeMap<Since, CutOff>,
    pub(super) resting: BTreeMap<Since, CutOff>,
}

/// When a connection began to be without a request, and its turn among those of the same instant.
pub(super) type Since = (Instant, u64);

impl Idle {
    /// Those that were served, or those that were not.
    pub(super) fn of(&mut self, was_served: bool) -> &mut BTreeMap<Since, CutOff> {
        if was_served {
            &mut self.resting
        } else {
            &mut self.fresh
        }
    }

    /// The one that is to give way now.
    pub(super) fn take_one(&mut self, now: Instant) -> Option<CutOff> {
        [&mut self.fresh, &mut self.resting]
            .into_iter()
            .find_map(|idle| {
                let oldest = idle.first_entry()?;
                let (since, _) = *oldest.key();
                (since + GRACE <= now).then(|| oldest.remove())
            })
    }

    /// When the first of them may be displaced.
    pub(super) fn first_at(&self) -> Option<Instant> {
        let oldest = [&self.fresh, &self.resting]
            .into_iter()
            .filter_map(|idle| idle.first_key_value())
            .map(|((since, _), _)| *since)
            .min();
        oldest.map(|since| since + GRACE)
    }
}
