//! What was numbered with the commit that made it: those who wait here are handed it, and its deliveries are sent.
//!
//! The sequencer does the same for what it numbers. A process that dies before it has done so leaves it to the others, who
//! read the log and look for what is due.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::deliver::Claimer;
use crate::{
    db::{called_back::Announced, wakeups::Wakeups},
    feed::Handover,
};

/// Hands on until told to stop.
pub async fn run(
    mut announced: mpsc::UnboundedReceiver<Announced>,
    wakeups: Wakeups,
    handover: Handover,
    claimer: Claimer,
    stop: CancellationToken,
) {
    while let Some(Some(Announced { numbered, made })) =
        stop.run_until_cancelled(announced.recv()).await
    {
        // What takes the longest comes first.
        if made.count > 0 {
            claimer.note(&made.lanes);
        }
        wakeups.events_numbered(handover.hand(numbered));
    }
}
