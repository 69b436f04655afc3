//! What is printed.

use std::{fmt, time::Duration};

/// The middle one.
pub fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

/// A figure against its floor, pair by pair.
pub struct Row {
    name: String,
    pairs: Vec<(Duration, Duration)>,
}

impl Row {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            pairs: Vec::new(),
        }
    }

    pub fn add(&mut self, figure: Duration, floor: Duration) {
        self.pairs.push((figure, floor));
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (figures, floors): (Vec<_>, Vec<_>) = self.pairs.iter().copied().unzip();
        let mut ratios: Vec<f64> = self
            .pairs
            .iter()
            .map(|(figure, floor)| figure.as_secs_f64() / floor.as_secs_f64())
            .collect();
        ratios.sort_by(f64::total_cmp);
        let middle = ratios[ratios.len() / 2];
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1000.0;
        write!(
            f,
            "{:<29}{:>9.2}{:>9.2}   {middle:.2} ({:.2} to {:.2})",
            self.name,
            milliseconds(median(figures)),
            milliseconds(median(floors)),
            ratios[0],
            ratios[ratios.len() - 1],
        )
    }
}
