//! Where a list goes on. Opaque to callers, so that what is inside may change.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use uuid::Uuid;

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
    pub fn encode(&self) -> String {
        let mut bytes = [0_u8; 24];
        bytes[..8].copy_from_slice(&self.created_at.timestamp_micros().to_be_bytes());
        bytes[8..].copy_from_slice(self.id.into().as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Accepts what [`Cursor::encode`] made, and nothing else.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; 24] = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (micros, id) = bytes.split_at(8);
        let created_at =
            DateTime::from_timestamp_micros(i64::from_be_bytes(micros.try_into().ok()?))?;
        // Postgres knows fewer years than chrono; nothing of ours is outside these.
        let plausible = (2020..2200).contains(&chrono::Datelike::year(&created_at));
        plausible.then_some(Self {
            created_at,
            id: Uuid::from_slice(id).ok()?.into(),
        })
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
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
    }

    #[test]
    fn nonsense_is_no_cursor() {
        for bad in [
            "",
            "x",
            "AAAA",
            "////",
            &"A".repeat(32),
            &"_".repeat(32),
            &"A".repeat(100_000),
        ] {
            assert_eq!(Cursor::<JobId>::decode(bad), None, "{bad}");
        }
    }
}
