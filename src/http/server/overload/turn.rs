//! What a request holds that is worked on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{arriving::NoRoom, bodies::Held, gate::Gate};
use crate::turns::{self, By, Handle};

/// A request that is worked on. Its turn ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    turn: turns::Turn,
    bytes: Arc<HeldBytes>,
}

impl Turn {
    pub(super) fn new(turn: turns::Turn, bytes: Arc<HeldBytes>) -> Self {
        Self { turn, bytes }
    }

    /// The bytes that are held for a body.
    pub(super) fn bytes_of(gate: &Gate, body: Held) -> Arc<HeldBytes> {
        Arc::new(HeldBytes {
            gate: gate.clone(),
            by: body.by,
            bytes: body.bytes.into(),
            parsed: 0.into(),
        })
    }

    /// By which it says that it waits for something else.
    pub fn handle(&self) -> Handle {
        self.turn.handle()
    }

    /// Whose request it is.
    pub fn by(&self) -> By {
        self.bytes.by
    }

    /// The bytes of its body, of which some may be given back before it ends.
    pub fn bytes(&self) -> Arc<HeldBytes> {
        Arc::clone(&self.bytes)
    }
}

/// Bytes of a body. Given back when this is dropped.
#[derive(Debug)]
pub struct HeldBytes {
    gate: Gate,
    by: By,
    /// How many of them are still held.
    bytes: AtomicUsize,
    /// How many are held for what they become once they are parsed.
    parsed: AtomicUsize,
}

impl HeldBytes {
    /// Takes more, for what they become.
    pub(super) fn grow(&self, bytes: usize) -> Result<(), NoRoom> {
        let held = self.bytes.load(Ordering::Relaxed) + self.parsed.load(Ordering::Relaxed);
        let more = Held { by: self.by, bytes };
        if !self.gate.try_hold_more(held, more) {
            return Err(NoRoom);
        }
        self.parsed.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Gives back what is held for what they became: it is gone.
    pub fn forget_parsed(&self) {
        self.give_back(self.parsed.swap(0, Ordering::Relaxed));
    }

    /// Gives back what is beyond this.
    pub fn keep_at_most(&self, bytes: usize) {
        let before = self.bytes.fetch_min(bytes, Ordering::Relaxed);
        self.give_back(before.saturating_sub(bytes));
    }

    fn give_back(&self, bytes: usize) {
        if bytes > 0 {
            self.gate.give_back(Held { by: self.by, bytes });
        }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.forget_parsed();
        self.give_back(self.bytes.load(Ordering::Relaxed));
    }
}
