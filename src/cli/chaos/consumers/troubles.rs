//! What goes wrong with a receiver of webhooks, and when: it follows from the seed.

use std::time::Duration;

use rand::{Rng, RngExt, seq::IndexedRandom};

/// A run whose faults take longer is a long one: there is time for troubles that take minutes to get over.
const LONG_RUN: Duration = Duration::from_mins(1);

/// More failures than that in a row, and a receiver is left alone for half a minute.
const FEW: usize = 4;

/// A receiver that does not do what it should, for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// From when, since the start.
    pub from: Duration,
    /// Until when.
    pub until: Duration,
    /// How many requests it happens to, at most.
    pub requests: usize,
    /// How long a request is held before anything else happens.
    pub held: Duration,
    /// The status that it is answered with then; without one its connection is broken off.
    pub answer: Option<u16>,
}

/// Plans a receiver's troubles in a time.
pub fn plan(rng: &mut impl Rng, over: Duration) -> Vec<Trouble> {
    let is_long = over > LONG_RUN;
    // Whoever fails once is tried again within seconds, and later on only after minutes: a short run has one trouble early.
    let (last, most) = if is_long {
        (over, usize::MAX)
    } else {
        (over / 2, 1)
    };
    let mut troubles = Vec::new();
    let mut from = milliseconds(rng, 500, 4_000);
    while from < last && troubles.len() < most {
        let until = from + milliseconds(rng, 1_000, 6_000);
        let requests = if is_long && rng.random_bool(0.2) {
            rng.random_range(10..=40)
        } else {
            rng.random_range(1..=FEW)
        };
        let answer = [None, None, Some(500), Some(500), Some(503), Some(404)];
        let held = match rng.random_range(0..4) {
            0 => milliseconds(rng, 500, 3_000),
            // Longer than anybody waits.
            1 if is_long => Duration::from_secs(20),
            _ => Duration::ZERO,
        };
        troubles.push(Trouble {
            from,
            until,
            requests,
            held,
            answer: answer.choose(rng).copied().flatten(),
        });
        from = until + milliseconds(rng, 8_000, 20_000);
    }
    troubles
}

fn milliseconds(rng: &mut impl Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.random_range(from..=to))
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn planned(seed: u64, over: u64) -> Vec<Trouble> {
        plan(&mut StdRng::seed_from_u64(seed), Duration::from_secs(over))
    }

    #[test]
    fn a_seed_gives_the_same_troubles_every_time() {
        assert_eq!(planned(7, 200), planned(7, 200));
        assert_ne!(planned(7, 200), planned(8, 200));
    }

    #[test]
    fn receivers_are_well_at_the_end_and_long_before_that_in_a_short_run() {
        for seed in 0..50 {
            let short = planned(seed, 15);
            assert_eq!(short.len(), 1);
            assert!(short[0].from < Duration::from_secs(8) && short[0].requests <= FEW);
            let long = planned(seed, 300);
            assert!(long.len() > 10);
            assert!(
                long.iter()
                    .all(|trouble| trouble.from < Duration::from_mins(5))
            );
        }
        let all: Vec<Trouble> = (0..50).flat_map(|seed| planned(seed, 300)).collect();
        let some = |has: fn(&Trouble) -> bool| all.iter().any(has);
        assert!(some(|one| one.requests > FEW) && some(|one| one.held.as_secs() == 20));
        assert!(some(|one| one.answer == Some(500)) && some(|one| one.answer.is_none()));
    }
}
