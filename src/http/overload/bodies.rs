//! How much the bodies of requests, or of answers, take, and whose they are.

use std::collections::{HashMap, hash_map::Entry};

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
    /// How much of that by whom; nobody with nothing.
    held_by: HashMap<Option<TenantId>, usize>,
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
        let left = self.most.checked_sub(self.held);
        let left = left.and_then(|free| free.checked_sub(body.bytes));
        // Bodies may come slowly, or never: whoever has many of those leaves as much to others.
        let own = self.held_by.get(&body.by).copied().unwrap_or_default();
        left.is_some_and(|left| own == 0 || own + body.bytes <= left)
    }

    /// Takes room where there is any. Whether there was.
    pub fn try_hold(&mut self, body: Held) -> bool {
        let has_room = self.have_room_for(body);
        if has_room {
            self.hold(body);
        }
        has_room
    }

    /// Takes room, whether or not there is any.
    pub fn hold(&mut self, body: Held) {
        if body.bytes > 0 {
            self.held += body.bytes;
            *self.held_by.entry(body.by).or_default() += body.bytes;
        }
    }

    /// Gives it back.
    pub fn let_go(&mut self, body: Held) {
        self.held = self.held.saturating_sub(body.bytes);
        if let Entry::Occupied(mut held) = self.held_by.entry(body.by) {
            *held.get_mut() = held.get().saturating_sub(body.bytes);
            if *held.get() == 0 {
                held.remove();
            }
        }
    }

    /// How much is taken.
    pub fn held(&self) -> usize {
        debug_assert_eq!(self.held, self.held_by.values().sum::<usize>());
        self.held
    }
}
