//! The one clock, and what is not left to it alone.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::{Builder, Uuid};

/// What the gateway's clock says.
///
/// # Errors
/// Where the database does not answer.
pub async fn now(conn: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"SELECT gateway_now() AS "now!""#)
        .fetch_one(conn)
        .await
}

/// The ids of what was made lately, by the clocks of the processes that made it. They are ids of version 7, so that they have that
/// time, and nothing that is done to the database's clock changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecentIds {
    pub(super) first: Uuid,
    pub(super) last: Uuid,
}

/// How far the clocks of processes may be apart. An id from further ahead is of one that was wrong, and says nothing: else what has
/// it would never come to an end.
const MAX_SKEW: Duration = Duration::from_hours(1);

impl RecentIds {
    /// Of what was made since an instant, as seen by a process whose clock says `process_now`.
    #[must_use]
    pub fn since(since: DateTime<Utc>, process_now: DateTime<Utc>) -> Self {
        let skew = i64::try_from(MAX_SKEW.as_millis()).unwrap_or(i64::MAX);
        let last = process_now.timestamp_millis().saturating_add(skew);
        Self {
            first: first_id(since.timestamp_millis()),
            last: first_id(last),
        }
    }

    /// Whether something was made lately.
    #[must_use]
    pub fn contains(&self, id: Uuid) -> bool {
        (self.first..=self.last).contains(&id)
    }

    /// How long it will go on to count as that. `None`: it does not.
    #[must_use]
    pub fn contain_for(&self, id: Uuid) -> Option<Duration> {
        let left = millis_of(id).saturating_sub(millis_of(self.first));
        self.contains(id).then(|| Duration::from_millis(left))
    }
}

/// The time that an id has.
fn millis_of(id: Uuid) -> u64 {
    u64::try_from(id.as_u128() >> 80).unwrap_or_default()
}

/// The first id that has this time.
fn first_id(millis: i64) -> Uuid {
    // That is all the room that an id has for it.
    const LAST: u64 = (1 << 48) - 1;
    let millis = u64::try_from(millis).unwrap_or_default().min(LAST);
    Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

/// What is kept still.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// What ended from then on, by what the database has stamped.
    pub since: DateTime<Utc>,
    /// What has one of these, also where it is stamped to have ended before: by a clock that was behind.
    pub ids: RecentIds,
}

/// What has not had its retention yet.
///
/// By the database's clock and by `process_now` alike, whichever is behind: what a clock that is ahead, or was behind, has erased,
/// nobody brings back when it is set right.
///
/// # Errors
/// Where the database does not answer.
pub async fn kept(
    conn: &mut PgConnection,
    retention: Duration,
    process_now: fn() -> DateTime<Utc>,
) -> sqlx::Result<Kept> {
    let database_now = now(conn).await?;
    let process_now = process_now();
    Ok(Kept {
        since: database_now.min(process_now) - retention,
        ids: RecentIds::since(process_now - retention, process_now),
    })
}

#[cfg(test)]
mod tests {
    use uuid::{ContextV7, Timestamp};

    use super::*;

    fn at(seconds: u64) -> DateTime<Utc> {
        DateTime::from_timestamp_secs(i64::try_from(seconds).unwrap()).unwrap()
    }

    fn id_at(seconds: u64) -> Uuid {
        Uuid::new_v7(Timestamp::from_unix(ContextV7::new(), seconds, 0))
    }

    #[test]
    fn ids_are_recent_from_an_instant_on_until_they_are_too_far_ahead() {
        let now = 1_800_000_000;
        let recent = RecentIds::since(at(now - 60), at(now));
        assert!(!recent.contains(id_at(now - 61)));
        assert!(recent.contains(id_at(now - 60)));
        assert!(recent.contains(id_at(now + 3599)));
        let seconds = |id| recent.contain_for(id).map(|left| left.as_secs());
        assert_eq!(seconds(id_at(now - 61)), None);
        assert_eq!(seconds(id_at(now - 60)), Some(0));
        assert_eq!(seconds(id_at(now - 50)), Some(10));
        assert!(!recent.contains(id_at(now + 3600)));
    }

    #[test]
    fn no_id_is_recent_to_a_clock_that_is_further_ahead_than_ids_go() {
        let end = DateTime::<Utc>::MAX_UTC;
        let recent = RecentIds::since(end - Duration::from_hours(2), end);
        assert!(!recent.contains(id_at(1_800_000_000)));
        let recent = RecentIds::since(DateTime::<Utc>::MIN_UTC, at(0));
        assert!(!recent.contains(id_at(1_800_000_000)));
    }
}
