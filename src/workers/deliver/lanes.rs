//! In which lanes a claim looks.
//!
//! In those of which it is known that something can be sent there now: something was recorded or made, and not all of it leased.
//! Besides, a stretch at a time, in all in which something waits, which finds what was put off and is due now. With very many
//! lanes, such as those of dead hosts, a claim costs no more than its stretch.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::PgConnection;
use tokio::time::Instant;

use crate::{db::deliveries, domain::ids::LaneId};

/// How many lanes a stretch has.
const STRETCH: i32 = 1000;

/// How long between two stretches, where there are several.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

/// How many lanes are kept in mind. The others are found all the same.
const MOST_NOTED: usize = 10_000;

/// What is known of lanes.
#[derive(Default)]
pub(super) struct Lanes(Mutex<Known>);

#[derive(Default)]
struct Known {
    noted: BTreeSet<LaneId>,
    /// Where the next stretch begins. `None`: with the first lane.
    next: Option<LaneId>,
    looked_at: Option<Instant>,
}

impl Lanes {
    /// Notes where something can be sent.
    pub(super) fn note(&self, lanes: impl IntoIterator<Item = LaneId>) {
        let mut known = self.lock();
        for lane in lanes {
            if known.noted.len() < MOST_NOTED {
                known.noted.insert(lane);
            }
        }
    }

    /// Whether there are more lanes than the last stretch had.
    pub(super) fn are_many(&self) -> bool {
        self.lock().next.is_some()
    }

    /// Those in which to look now. What is noted stays so where that does not become known, or is given up.
    pub(super) async fn find(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<LaneId>> {
        let (after, is_time) = {
            let known = self.lock();
            let is_time = known.next.is_none()
                || known
                    .looked_at
                    .is_none_or(|looked_at| looked_at.elapsed() >= PAUSE);
            (known.next, is_time)
        };
        let looked_at = Instant::now();
        let found = if is_time {
            Some(deliveries::list_due_lanes(conn, after, STRETCH).await?)
        } else {
            None
        };
        let mut known = self.lock();
        let mut lanes = std::mem::take(&mut known.noted);
        if let Some(found) = found {
            lanes.extend(found.lanes);
            known.next = found.next;
            known.looked_at = Some(looked_at);
        }
        Ok(lanes.into_iter().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
