//! What was numbered with the commit that made it: those who wait here are handed it, and its deliveries are sent.
//!
//! The sequencer does the same for what it numbers. A process that dies before it has done so leaves it to the others, who
//! read the log, look for what is due, and send again what was leased to it.

use tokio::time::Instant;

use super::deliver::Claimer;
use crate::{
    db::{callbacks::called_back::Announced, wakeups::Wakeups},
    feed::Handover,
};

/// Hands on, without waiting for anybody: whoever has committed it is waited for. To take it over, a task of its own would be
/// woken for each callback, most of which nobody here waits for.
pub fn hand_on(
    announced: Announced,
    since: Instant,
    wakeups: &Wakeups,
    handover: &Handover,
    claimer: &Claimer,
) {
    // What takes the longest comes first.
    if !announced.leased.is_empty() {
        claimer.begin_leased(announced.leased, since);
    }
    if !announced.lanes.is_empty() {
        claimer.note(&announced.lanes);
    }
    wakeups.events_numbered(handover.hand(announced.numbered));
}
