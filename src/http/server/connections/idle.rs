//! Connections without a request, and which of them gives way.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{Place, Stage, lock};
use crate::http::server::serve::{CutOff, Timeouts};

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

impl Place {
    /// Something came. Where there is no request, it is the beginning of one.
    pub fn read(&self) {
        if let Stage::Idle { head_since, .. } = &mut *lock(&self.0.stage) {
            head_since.get_or_insert_with(Instant::now);
        }
    }

    /// Until when a connection without a request is kept. `None`: there is one.
    #[must_use]
    pub fn waits_until(&self, timeouts: Timeouts) -> Option<Instant> {
        let Stage::Idle {
            was_served,
            since: (since, _),
            head_since,
        } = *lock(&self.0.stage)
        else {
            return None;
        };
        Some(match head_since {
            Some(head_since) if was_served => head_since + timeouts.head,
            None if was_served => since + timeouts.keep_alive,
            _ => since + timeouts.head,
        })
    }
}

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
