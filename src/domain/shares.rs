//! Places of which there are so many in this process, and of which no tenant can take all.
//!
//! A tenant gets one more for as long as it holds fewer than are free. So a single one gets half, `n` that want all they can
//! get each come to about one in `n + 1`, and whoever has none finds one: only as many tenants as there are places fill them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::ids::TenantId;

/// The places. Clones are the same.
#[derive(Debug, Clone)]
pub struct Shares {
    size: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// Only of those that hold any.
    by_tenant: HashMap<TenantId, usize>,
}

/// One of the places. Given back when dropped.
#[derive(Debug)]
pub struct SharedPlace {
    tenant_id: TenantId,
    shares: Shares,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// Every place is taken.
    Full,
    /// The tenant holds as many as are free.
    ShareTaken,
}

impl Shares {
    /// So many places.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self {
            size,
            held: Arc::default(),
        }
    }

    /// Takes one for a tenant.
    ///
    /// # Errors
    /// Where there is none for it.
    pub fn take(&self, tenant_id: TenantId) -> Result<SharedPlace, NoPlace> {
        let mut held = self.lock();
        let free = self.size.saturating_sub(held.all);
        if free == 0 {
            return Err(NoPlace::Full);
        }
        let own = held.by_tenant.get(&tenant_id).copied().unwrap_or_default();
        if own >= free {
            return Err(NoPlace::ShareTaken);
        }
        held.by_tenant.insert(tenant_id, own + 1);
        held.all += 1;
        Ok(SharedPlace {
            tenant_id,
            shares: self.clone(),
        })
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SharedPlace {
    fn drop(&mut self) {
        let mut held = self.shares.lock();
        held.all = held.all.saturating_sub(1);
        if let Some(own) = held.by_tenant.get_mut(&self.tenant_id) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                held.by_tenant.remove(&self.tenant_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    fn take_all(shares: &Shares, tenant_id: TenantId) -> Vec<SharedPlace> {
        std::iter::from_fn(|| shares.take(tenant_id).ok()).collect()
    }

    #[test]
    fn greedy_tenants_leave_each_other_equal_shares_and_one_to_the_next() {
        let shares = Shares::new(12);
        let first = take_all(&shares, tenant(1));
        assert_eq!(first.len(), 6);
        assert_eq!(shares.take(tenant(1)).unwrap_err(), NoPlace::ShareTaken);
        let second = take_all(&shares, tenant(2));
        assert_eq!(second.len(), 3);
        // What the first one gives back is not all for it.
        let mut first = first;
        first.truncate(4);
        assert_eq!(take_all(&shares, tenant(1)).len(), 1);
        assert_eq!(shares.taken(), 7);
    }

    #[test]
    fn only_as_many_tenants_as_there_are_places_fill_them() {
        let shares = Shares::new(3);
        let held: Vec<SharedPlace> = (1..=3)
            .flat_map(|number| shares.take(tenant(number)))
            .collect();
        assert_eq!(held.len(), 3);
        assert_eq!(shares.take(tenant(4)).unwrap_err(), NoPlace::Full);
    }

    #[test]
    fn a_place_is_given_back_and_nothing_is_remembered_of_who_holds_none() {
        let shares = Shares::new(1);
        let place = shares.take(tenant(1)).unwrap();
        assert_eq!(shares.take(tenant(1)).unwrap_err(), NoPlace::Full);
        assert_eq!(shares.taken(), 1);
        drop(place);
        assert_eq!(shares.taken(), 0);
        assert!(shares.lock().by_tenant.is_empty());
    }
}
