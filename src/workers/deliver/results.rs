//! Results that go along with deliveries: how much of them is in memory at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::{
    db::{
        deliveries::ResultAt,
        jobs,
        pool::{Pool, in_time},
    },
    domain::ids::TenantId,
    journal::result::unpacked,
};

/// How many are read at once. Deliveries leave the connections of the database to others.
const READS: usize = 2;

/// A larger one shares the room of large ones, so that a few of those do not keep all others waiting.
const SMALL_KIB: u32 = 1024;

/// How much of small ones is unpacked at once, from its reading to the answer of its receiver.
const SMALL_ROOM_KIB: u32 = 64 * 1024;

/// The same for large ones. The largest gets all that there is.
const LARGE_ROOM_KIB: u32 = 64 * 1024;

/// The same for receivers that fail, or of which nothing is known yet: those that hang hold up each other alone.
const UNPROVEN_ROOM_KIB: u32 = 32 * 1024;

/// Reads results as far as there is room.
pub(super) struct Results {
    reads: Semaphore,
    small: Room,
    large: Room,
    unproven_small: Room,
    unproven_large: Room,
}

/// How much may be unpacked at once of one kind. A tenant whose receivers take their time gets half of it.
struct Room {
    free: Arc<Semaphore>,
    kib: u32,
    /// The halves of those who have something in it, or wait for that.
    halves: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
}

/// What a result takes of it. Given back when dropped.
#[derive(Debug)]
pub(super) struct Taken {
    _of_tenant: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Room {
    fn new(kib: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(kib as usize)),
            kib,
            halves: Mutex::default(),
        }
    }

    /// Waits for room for so much, or for all that there is.
    async fn take(&self, tenant_id: TenantId, kib: u32) -> Result<Taken, AcquireError> {
        let half = self.half_of(tenant_id);
        Ok(Taken {
            _of_tenant: half.acquire_many_owned(kib.min(self.kib / 2)).await?,
            _of_all: Arc::clone(&self.free)
                .acquire_many_owned(kib.min(self.kib))
                .await?,
        })
    }

    fn half_of(&self, tenant_id: TenantId) -> Arc<Semaphore> {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(half) = halves.get(&tenant_id).and_then(Weak::upgrade) {
            return half;
        }
        halves.retain(|_, half| half.strong_count() > 0);
        let half = Arc::new(Semaphore::new(self.kib as usize / 2));
        halves.insert(tenant_id, Arc::downgrade(&half));
        half
    }
}

/// A result in memory, and the room that it takes.
pub(super) struct Unpacked {
    /// Byte for byte as it came.
    pub(super) result: Bytes,
    /// To be held for as long as anything of it is in memory.
    pub(super) room: Taken,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoResult {
    #[error("it is erased")]
    Erased,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("what is stored cannot be read: {0}")]
    Unreadable(&'static str),
}

impl Results {
    pub(super) fn new() -> Self {
        Self {
            reads: Semaphore::new(READS),
            small: Room::new(SMALL_ROOM_KIB),
            large: Room::new(LARGE_ROOM_KIB),
            unproven_small: Room::new(UNPROVEN_ROOM_KIB),
            unproven_large: Room::new(UNPROVEN_ROOM_KIB),
        }
    }

    /// Waits for room, and reads a result.
    pub(super) async fn read(
        &self,
        pool: &Pool,
        tenant_id: TenantId,
        at: ResultAt,
        is_unproven: bool,
    ) -> Result<Unpacked, NoResult> {
        let kib = kib(at.body_bytes);
        let room = match (kib <= SMALL_KIB, is_unproven) {
            (true, false) => &self.small,
            (false, false) => &self.large,
            (true, true) => &self.unproven_small,
            (false, true) => &self.unproven_large,
        };
        let closed = |_| NoResult::Unreadable("no room");
        let room = room.take(tenant_id, kib).await.map_err(closed)?;
        let stored = {
            let _turn = self.reads.acquire().await.map_err(closed)?;
            let mut conn = pool.acquire().await?;
            let stored = in_time(jobs::find_result(&mut conn, at.callback_id)).await?;
            conn.put_back();
            stored
        };
        let stored = stored.ok_or(NoResult::Erased)?;
        // The room goes along: unpacking does not end when nobody waits for it any more.
        let unpacking = tokio::task::spawn_blocking(move || {
            let result = unpacked(&stored)?;
            Ok(Unpacked { result, room })
        });
        unpacking
            .await
            .unwrap_or(Err("reading it panicked"))
            .map_err(NoResult::Unreadable)
    }
}

/// How much room a body takes, begun KiB counted as whole ones.
fn kib(body_bytes: i64) -> u32 {
    let kib = u64::try_from(body_bytes).unwrap_or_default().div_ceil(1024);
    u32::try_from(kib).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_tenant_leaves_half_of_the_room_to_others() {
        let room = Room::new(8);
        let take = |number: u128, kib| {
            let taken = room.take(TenantId(Uuid::from_u128(number)), kib);
            taken.now_or_never().map(Result::unwrap)
        };
        let held: Vec<Taken> = std::iter::from_fn(|| take(1, 2)).collect();
        assert_eq!(held.len(), 2);
        let other = take(2, 2);
        assert!(other.is_some());
        // One that is too large for all of it takes all of it.
        assert!(take(3, 100).is_none());
        drop((held, other));
        assert!(take(3, 100).is_some());
    }

    #[test]
    fn every_body_takes_room() {
        assert_eq!(
            [-1, 0, 1, 1024, 1025, i64::MAX].map(kib),
            [1, 1, 1, 1, 2, u32::MAX]
        );
    }
}
