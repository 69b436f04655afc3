//! How much the bodies of requests, or of answers, take, and whose they are.

use std::collections::HashMap;

use crate::domain::ids::TenantId;

/// What a body takes.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Whose request it belongs to. `None`: somebody whose key has not been looked up yet, or is nobody's.
    pub by: Option<TenantId>,
    /// How much it is.
    pub bytes: usize,
}

/// The bodies that are under way.
#[derive(Debug, Default)]
pub struct Bodies {
    most: usize,
    held: usize,
    /// The same without what was forced beyond the half that a tenant may have: it takes nothing from others.
    counted: usize,
    /// How much of that by whom; nobody with nothing.
    held_by: HashMap<Option<TenantId>, Own>,
}

/// Why room is taken whether or not there is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    /// It answers what was done.
    Owed,
    /// It is a part of an answer that has begun.
    Begun,
}

/// What is one tenant's.
#[derive(Debug, Default, Clone, Copy)]
struct Own {
    bytes: usize,
    /// How much of that was taken whether or not there was room.
    forced: usize,
    /// How much of that answers what was done.
    owed: usize,
}

impl Own {
    /// How much of it is counted against all, of so much room.
    fn counted(self, most: usize) -> usize {
        let share = self.bytes.min(most.div_ceil(2));
        self.bytes.saturating_sub(self.forced).max(share)
    }
}

impl Bodies {
    /// None yet, and room for so many bytes.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// Whether there is room for one more. One alone has it, however large it is.
    pub fn have_room_for(&self, body: Held) -> bool {
        if body.bytes == 0 || self.held == 0 {
            return true;
        }
        let left = self.most.checked_sub(self.counted);
        let left = left.and_then(|free| free.checked_sub(body.bytes));
        // Bodies may come slowly, or never: whoever has many of those leaves as much to others.
        let own = self.own(body.by).bytes;
        left.is_some_and(|left| own == 0 || own + body.bytes <= left)
    }

    /// Takes room where there is any. Whether there was.
    pub fn try_hold(&mut self, body: Held) -> bool {
        let has_room = self.have_room_for(body);
        if has_room && body.bytes > 0 {
            self.change(body.by, |own| own.bytes += body.bytes);
        }
        has_room
    }

    /// Takes more room for a body that holds so much already. Whether there was any: as much as if it came now, with all of it.
    pub fn try_hold_more(&mut self, held: usize, more: Held) -> bool {
        let before = Held {
            by: more.by,
            bytes: held,
        };
        self.let_go(before);
        let whole = Held {
            by: more.by,
            bytes: held + more.bytes,
        };
        let has_room = self.try_hold(whole);
        if !has_room {
            self.change(more.by, |own| own.bytes += held);
        }
        has_room
    }

    /// Takes room, whether or not there is any.
    pub fn force(&mut self, body: Held, why: Forced) {
        self.change(body.by, |own| {
            own.bytes += body.bytes;
            own.forced += body.bytes;
            if why == Forced::Owed {
                own.owed += body.bytes;
            }
        });
    }

    /// Gives back what was taken where there was room.
    pub fn let_go(&mut self, body: Held) {
        self.change(body.by, |own| {
            own.bytes = own.bytes.saturating_sub(body.bytes);
        });
    }

    /// Gives back what was forced.
    pub fn let_go_forced(&mut self, body: Held, why: Forced) {
        self.change(body.by, |own| {
            own.bytes = own.bytes.saturating_sub(body.bytes);
            own.forced = own.forced.saturating_sub(body.bytes);
            if why == Forced::Owed {
                own.owed = own.owed.saturating_sub(body.bytes);
            }
        });
    }

    /// Whether the answers owed to this tenant take more than what is left to others, and more than a sixteenth of all room.
    pub fn is_owed_enough(&self, by: Option<TenantId>) -> bool {
        let left = self.most.saturating_sub(self.counted);
        self.own(by).owed > left.max(self.most / 16)
    }

    fn own(&self, by: Option<TenantId>) -> Own {
        self.held_by.get(&by).copied().unwrap_or_default()
    }

    fn change(&mut self, by: Option<TenantId>, change: impl FnOnce(&mut Own)) {
        let before = self.own(by);
        let mut own = before;
        change(&mut own);
        self.held = self.held - before.bytes + own.bytes;
        self.counted = self.counted - before.counted(self.most) + own.counted(self.most);
        if own.bytes == 0 {
            self.held_by.remove(&by);
        } else {
            self.held_by.insert(by, own);
        }
    }

    /// How much is taken.
    pub fn held(&self) -> usize {
        debug_assert_eq!(
            self.held,
            self.held_by.values().map(|own| own.bytes).sum::<usize>()
        );
        self.held
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn of(tenant: u128, bytes: usize) -> Held {
        let by = Some(TenantId(Uuid::from_u128(tenant)));
        Held { by, bytes }
    }

    #[test]
    fn what_a_tenant_forces_beyond_its_half_takes_nothing_from_others() {
        let mut bodies = Bodies::new(100);
        assert!(!bodies.is_owed_enough(of(1, 0).by));
        for _ in 0..10 {
            bodies.force(of(1, 60), Forced::Owed);
        }
        assert!(bodies.is_owed_enough(of(1, 0).by));
        assert!(!bodies.have_room_for(of(1, 1)));
        assert!(!bodies.is_owed_enough(of(2, 0).by));
        assert!(bodies.try_hold(of(2, 25)));
        assert!(!bodies.try_hold(of(2, 1)));
        assert!(bodies.try_hold(of(3, 25)));
        assert_eq!((bodies.held(), bodies.counted), (650, 100));
        for _ in 0..10 {
            bodies.let_go_forced(of(1, 60), Forced::Owed);
        }
        bodies.let_go(of(2, 25));
        bodies.let_go(of(3, 25));
        assert_eq!((bodies.held(), bodies.counted), (0, 0));
        assert!(bodies.held_by.is_empty());
    }

    #[test]
    fn whoever_has_taken_what_there_was_room_for_may_still_do_something() {
        let mut bodies = Bodies::new(100);
        assert!(bodies.try_hold(of(1, 50)));
        assert!(!bodies.try_hold(of(1, 1)));
        assert!(!bodies.is_owed_enough(of(1, 0).by));
        bodies.force(of(1, 51), Forced::Owed);
        assert!(bodies.is_owed_enough(of(1, 0).by));
        assert_eq!((bodies.held(), bodies.counted), (101, 50));
    }

    #[test]
    fn whoever_reads_while_others_take_everything_may_still_do_something() {
        let mut bodies = Bodies::new(100);
        for tenant in [1, 2] {
            bodies.force(of(tenant, 60), Forced::Begun);
        }
        bodies.force(of(3, 10), Forced::Begun);
        bodies.force(of(3, 6), Forced::Owed);
        for tenant in [1, 2, 3] {
            assert!(!bodies.is_owed_enough(of(tenant, 0).by));
        }
        bodies.force(of(3, 1), Forced::Owed);
        assert!(bodies.is_owed_enough(of(3, 0).by));
    }
}
