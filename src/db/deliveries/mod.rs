//! The outbox: which events are on their way to whom.
//!
//! [`fan_out`](mod@fan_out) makes deliveries, [`claim`](mod@claim) leases those that are due, and [`record`](mod@record) writes
//! down how their tries went. A lease that runs out makes its delivery due again, so a process that dies in between costs a
//! repetition and never a delivery. Locks keep the order at the top of [`db`](crate::db): deliveries, then lanes.

mod claim;
mod claimed;
mod ending;
mod erase;
mod fan_out;
mod forget;
mod moved;
mod read;
mod record;
mod replay;
mod waiting;

pub(in crate::db) use self::fan_out::origin_of;
pub use self::{
    claim::{Claimant, Held, LANE_WIDTH, Room, claim, load},
    claimed::{ClaimedDelivery, Content, Contents, Failure, ResultAt, To},
    ending::{end_pending, expire},
    erase::erase_of_job,
    fan_out::{FannedOut, fan_out},
    forget::{forget, forget_lanes},
    read::{Delivery, DeliveryAttempt, find, list, list_attempts},
    record::{Attempt, Next, Outcome, Recorded, record},
    replay::{Replayed, has_dead, replay, replay_dead},
    waiting::{DueLanes, list_due_lanes},
};
