//! The outbox: which events are on their way to whom.

mod fan_out;
mod forget;

pub use self::{fan_out::fan_out, forget::forget};
