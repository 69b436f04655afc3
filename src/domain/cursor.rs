//! Where a list goes on. Opaque to callers, so that what is inside may change.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Which list a cursor belongs to. The same list with other filters is another one: going on there would pass rows over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListTag([u8; 4]);

impl ListTag {
    /// The tag of a list, from its name and its filters in one spelling.
    #[must_use]
    pub fn of(list: &str, filters: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(list)
            .chain_update([0])
            .chain_update(filters)
            .finalize();
        Self([digest[0], digest[1], digest[2], digest[3]])
    }
}

/// The last row of the page before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor<Id> {
    /// Its creation, or whatever instant orders the list.
    pub created_at: DateTime<Utc>,
    /// Its id, which orders rows of the same instant.
    pub id: Id,
}

impl<Id: Copy + From<Uuid> + Into<Uuid>> Cursor<Id> {
    /// As callers see it.
    #[must_use]
    pub fn encode(&self, list: ListTag) -> String {
        let mut bytes = [0_u8; 28];
        bytes[..8].copy_from_slice(&self.created_at.timestamp_micros().to_be_bytes());
        bytes[8..24].copy_from_slice(self.id.into().as_bytes());
        bytes[24..].copy_from_slice(&list.0);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Accepts what [`Cursor::encode`] made, and nothing else; with the list that it was made for.
    #[must_use]
    pub fn decode(text: &str) -> Option<(Self, ListTag)> {
        let bytes: [u8; 28] = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (micros, rest) = bytes.split_at(8);
        let (id, list) = rest.split_at(16);
        let created_at =
            DateTime::from_timestamp_micros(i64::from_be_bytes(micros.try_into().ok()?))?;
        // Postgres knows fewer years than chrono; nothing of ours is outside these.
        let plausible = (2020..2200).contains(&chrono::Datelike::year(&created_at));
        let cursor = Self {
            created_at,
            id: Uuid::from_slice(id).ok()?.into(),
        };
        plausible.then_some((cursor, ListTag(list.try_into().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::JobId;

    #[test]
    fn a_cursor_survives_the_round_trip() {
        let created_at = DateTime::from_timestamp_micros(1_795_000_000_123_456).unwrap();
        let cursor = Cursor {
            created_at,
            id: JobId(Uuid::from_u128(7)),
        };
        let list = ListTag::of("things", "status=done");
        assert_eq!(Cursor::decode(&cursor.encode(list)), Some((cursor, list)));
    }

    #[test]
    fn the_same_list_with_other_filters_is_another_list() {
        let list = ListTag::of("things", "status=done");
        for other in [
            ListTag::of("things", "status=error"),
            ListTag::of("things", ""),
            ListTag::of("other things", "status=done"),
        ] {
            assert_ne!(list, other);
        }
    }

    #[test]
    fn nonsense_is_no_cursor() {
        for bad in [
            "",
            "x",
            "AAAA",
            "////",
            &"A".repeat(38),
            &"_".repeat(38),
            &"A".repeat(100_000),
        ] {
            assert_eq!(Cursor::<JobId>::decode(bad), None, "{bad}");
        }
    }
}
