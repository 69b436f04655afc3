//! What a request holds that is worked on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{bodies::Held, gate::Gate};
use crate::domain::ids::TenantId;

/// A request that is worked on. Its turn ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    gate: Gate,
    bytes: Arc<HeldBytes>,
}

impl Turn {
    pub(super) fn new(gate: Gate, body: Held) -> Self {
        let bytes = Arc::new(HeldBytes {
            gate: gate.clone(),
            by: body.by,
            bytes: body.bytes.into(),
        });
        Self { gate, bytes }
    }

    /// By which it says that it waits for something else.
    pub fn pauses(&self) -> Pauses {
        Pauses(self.gate.clone())
    }

    /// The bytes of its body, of which some may be given back before it ends.
    pub fn bytes(&self) -> Arc<HeldBytes> {
        Arc::clone(&self.bytes)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.gate.end();
    }
}

/// Bytes of a body. Given back when this is dropped.
#[derive(Debug)]
pub struct HeldBytes {
    gate: Gate,
    by: Option<TenantId>,
    /// How many of them are still held.
    bytes: AtomicUsize,
}

impl HeldBytes {
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
        self.give_back(self.bytes.load(Ordering::Relaxed));
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
