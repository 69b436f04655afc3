//! What a request holds that is worked on.

use std::mem;

use super::{bodies::Held, gate::Gate};

/// A request that is worked on. Its turn ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    gate: Gate,
    body: Held,
}

impl Turn {
    pub(super) fn new(gate: Gate, body: Held) -> Self {
        Self { gate, body }
    }

    /// By which it says that it waits for something else.
    pub fn pauses(&self) -> Pauses {
        Pauses(self.gate.clone())
    }

    /// Takes the bytes of its body from it: they are given back with this, and not with the turn.
    pub fn take_bytes(&mut self) -> HeldBytes {
        HeldBytes {
            gate: self.gate.clone(),
            body: Held {
                bytes: mem::take(&mut self.body.bytes),
                ..self.body
            },
        }
    }
}

/// Bytes of a body. Given back when this is dropped.
#[derive(Debug)]
pub struct HeldBytes {
    gate: Gate,
    body: Held,
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.gate.give_back(self.body);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.gate.end(self.body);
    }
}

/// The pauses of a turn.
#[derive(Debug, Clone)]
pub struct Pauses(Gate);

impl Pauses {
    /// Begins or ends one. Whoever comes back from it goes on at once, since to wait twice is to be late twice.
    pub fn set(&self, is_paused: bool) {
        self.0.pause(is_paused);
    }

    /// Pauses for as long as something else is waited for, such as Gladia, which may take its time.
    pub async fn during<T>(&self, waited: impl Future<Output = T>) -> T {
        let _pause = Pause::begin(self);
        waited.await
    }
}

/// A pause. It ends when this is dropped, also where the caller hangs up.
struct Pause<'a>(&'a Pauses);

impl<'a> Pause<'a> {
    fn begin(pauses: &'a Pauses) -> Self {
        pauses.set(true);
        Self(pauses)
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
