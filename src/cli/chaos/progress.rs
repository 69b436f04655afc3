//! What happens, as it happens: lines on stderr with the seconds since the start.

use tokio::time::Instant;

/// Tells people what happens.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    started: Instant,
}

impl Progress {
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    pub fn say(self, text: &str) {
        eprintln!("[{:7.2} s] {text}", self.started.elapsed().as_secs_f64());
    }
}
