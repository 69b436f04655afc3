//! How far the demo is: on stderr, so that stdout holds the transcript alone.

use std::{cell::RefCell, io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// Says something in a line.
pub fn say(line: &str) {
    eprintln!("{line}");
}

/// A line that changes on a terminal, and one line for each change elsewhere.
pub struct Progress {
    name: String,
    bar: Option<ProgressBar>,
    last: RefCell<String>,
}

impl Progress {
    /// Begins to show something under this name.
    pub fn start(name: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(ProgressStyle::default_spinner());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self {
            name: name.to_owned(),
            bar,
            last: RefCell::default(),
        }
    }

    /// Shows where it is.
    pub fn show(&self, state: &str) {
        let line = format!("{}: {state}", self.name);
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None if *self.last.borrow() != line => {
                say(&line);
                *self.last.borrow_mut() = line;
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
