//! What was numbered with the commit that made it: those who wait here are handed it, and its deliveries are sent.
//!
//! The sequencer does the same for what it numbers. A process that dies before it has done so leaves it to the others, who
//! read the log, look for what is due, and send again what was leased to it.

use tokio_util::sync::CancellationToken;

use super::deliver::Claimer;
use crate::{db::wakeups::Wakeups, feed::Handover, journal::announce::AnnouncedQueue};

/// Hands on until told to stop, and then what is in the queue: nobody else would send it before its lease runs out.
pub async fn run(
    mut queue: AnnouncedQueue,
    wakeups: Wakeups,
    handover: Handover,
    claimer: Claimer,
    stop: CancellationToken,
) {
    let mut is_ending = false;
    loop {
        let next = tokio::select! {
            biased;
            next = queue.recv() => next,
            () = stop.cancelled(), if !is_ending => {
                // Nothing is leased to this process from now on, and what is in the queue comes to an end.
                queue.close();
                is_ending = true;
                continue;
            }
        };
        let Some((announced, since)) = next else {
            return;
        };
        // What takes the longest comes first.
        if !announced.leased.is_empty() {
            claimer.begin_leased(announced.leased, since);
        }
        if announced.made.count > 0 {
            claimer.note(&announced.made.lanes);
        }
        wakeups.events_numbered(handover.hand(announced.numbered));
    }
}
