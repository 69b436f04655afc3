//! What a request holds that is worked on.

use std::mem;

use super::gate::Gate;

/// A request that is worked on. Its turn ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    gate: Gate,
    bytes: usize,
}

impl Turn {
    pub(super) fn new(gate: Gate, bytes: usize) -> Self {
        Self { gate, bytes }
    }

    /// By which it says that it waits for something else.
    pub fn pauses(&self) -> Pauses {
        Pauses(self.gate.clone())
    }

    /// Takes the bytes of its body from it: they are given back with this, and not with the turn.
    pub fn take_bytes(&mut self) -> HeldBytes {
        HeldBytes {
            gate: self.gate.clone(),
            bytes: mem::take(&mut self.bytes),
        }
    }
}

/// Bytes of a body. Given back when this is dropped.
#[derive(Debug)]
pub struct HeldBytes {
    gate: Gate,
    bytes: usize,
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.gate.give_back(self.bytes);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.gate.end(self.bytes);
    }
}

/// The pauses of a turn.
#[derive(Debug)]
pub struct Pauses(Gate);

impl Pauses {
    /// Begins or ends one. Whoever comes back from it goes on at once, since to wait twice is to be late twice.
    pub fn set(&self, is_paused: bool) {
        self.0.pause(is_paused);
    }
}
