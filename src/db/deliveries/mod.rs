//! The outbox: which events are on their way to whom.

mod fan_out;

pub use self::fan_out::fan_out;
