//! What deliveries are signed with, as it is stored.

use std::{fmt, time::Duration};

use super::ids::{EndpointId, SecretId, TenantId};

/// How many secrets of one owner sign at a time. Each makes the header longer that receivers look through.
pub const MOST_USABLE: i64 = 5;

/// How long a secret still signs after another one has taken its place, where nothing is said.
pub const DEFAULT_OVERLAP: Duration = Duration::from_hours(24);

/// How long it may.
pub const LONGEST_OVERLAP: Duration = Duration::from_hours(7 * 24);

/// An encrypted secret. Which row it stands in is sealed along, so that a copy elsewhere opens nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// Its id.
    pub id: SecretId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The endpoint whose deliveries it signs. `None`: it signs the callbacks of the tenant's jobs.
    pub endpoint_id: Option<EndpointId>,
    /// The name of the operator's key that sealed it.
    pub key_id: String,
    /// What only that key opens.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSecret")
            .field("id", &self.id)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}
