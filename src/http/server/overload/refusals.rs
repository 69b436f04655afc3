//! What is refused is counted, and said now and then.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use metrics::counter;
use tokio::time::Instant;

use crate::domain::words::words;

/// How often it is logged that requests are refused.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overload {
    /// Its turn did not come.
    Turns,
    /// There is no room for its body.
    Bodies,
    /// There is no room for its answer.
    Answers,
}

impl Overload {
    words! {
        /// As metrics and logs name it.
        as_str(self):
        Turns = "turns",
        Bodies = "bodies",
        Answers = "answers",
    }

    fn count(self) {
        counter!("gateway_requests_shed_total", "reason" => self.as_str()).increment(1);
    }
}

/// Counts refusals.
#[derive(Debug, Default)]
pub struct Refusals {
    warned_at: Mutex<Option<Instant>>,
}

impl Refusals {
    /// Counts one. Whether it is time to log that there are some.
    pub fn count(&self, overload: Overload) -> bool {
        overload.count();
        let mut warned_at = self
            .warned_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_told = warned_at.is_some_and(|warned| warned.elapsed() < WARN_INTERVAL);
        if !is_told {
            *warned_at = Some(Instant::now());
        }
        !is_told
    }
}
