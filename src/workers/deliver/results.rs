//! Results that go along with deliveries: how much of them is in memory at once.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    db::{deliveries::ResultAt, jobs},
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

/// How much may be unpacked at once of one kind.
struct Room {
    free: Arc<Semaphore>,
    kib: u32,
}

impl Room {
    fn new(kib: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(kib as usize)),
            kib,
        }
    }
}

/// A result in memory, and the room that it takes.
pub(super) struct Unpacked {
    /// Byte for byte as it came.
    pub(super) result: Bytes,
    /// To be held for as long as anything of it is in memory.
    pub(super) room: OwnedSemaphorePermit,
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
        pool: &PgPool,
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
        let room = Arc::clone(&room.free).acquire_many_owned(kib.min(room.kib));
        let closed = |_| NoResult::Unreadable("no room");
        let room = room.await.map_err(closed)?;
        let stored = {
            let _turn = self.reads.acquire().await.map_err(closed)?;
            let mut conn = pool.acquire().await?;
            jobs::find_result(&mut conn, at.callback_id).await?
        };
        let stored = stored.ok_or(NoResult::Erased)?;
        // The room goes along: unpacking does not end when nobody waits for it any more.
        let unpacking = tokio::task::spawn_blocking(move || {
            let result = unpacked(&stored.zstd)?;
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
    use super::*;

    #[test]
    fn every_body_takes_room() {
        assert_eq!(
            [-1, 0, 1, 1024, 1025, i64::MAX].map(kib),
            [1, 1, 1, 1, 2, u32::MAX]
        );
    }
}
