//! Handing on what a callback's own commit has told the log, so that those who wait need no other look.

use tokio::sync::mpsc;

use crate::{
    db::{called_back::Announced, wakeups::Wakeups},
    domain::ids::Ids,
};

/// Hands on. Clones are the same.
#[derive(Debug, Clone)]
pub struct Announcer {
    ids: Ids,
    wakeups: Wakeups,
    announced: mpsc::UnboundedSender<Announced>,
}

impl Announcer {
    /// Makes one, with where ids of deliveries come from, and where it hands on to.
    #[must_use]
    pub fn new(ids: Ids, wakeups: Wakeups) -> (Self, mpsc::UnboundedReceiver<Announced>) {
        let (announced, receiver) = mpsc::unbounded_channel();
        (
            Self {
                ids,
                wakeups,
                announced,
            },
            receiver,
        )
    }

    pub(super) fn ids(&self) -> &Ids {
        &self.ids
    }

    /// `None`: there is nothing yet, and the sequencer is to look.
    pub(super) fn announce(&self, announced: Option<Announced>) {
        match announced {
            // Where nobody takes it any more, this process ends, and the others find it.
            Some(announced) => drop(self.announced.send(announced)),
            None => self.wakeups.events_added(),
        }
    }
}
