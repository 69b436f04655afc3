//! The outbox: which events are on their way to whom.

mod ending;
mod fan_out;

pub use self::{ending::end_pending, fan_out::fan_out};
