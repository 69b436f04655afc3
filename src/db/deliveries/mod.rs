//! The outbox: which events are on their way to whom.

mod erase;
mod fan_out;
mod read;
mod replay;

pub use self::{
    erase::erase_of_job,
    fan_out::fan_out,
    read::{Delivery, DeliveryAttempt, find, list, list_attempts},
    replay::{Replayed, find_endpoint_status, has_dead, replay, replay_dead},
};
