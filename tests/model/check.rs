//! Runs a check and tells what came of it.

use std::{fmt::Write, thread, time::Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::{steps::Step, world::World};

/// Walks through every reachable state. Fails where a property does not hold, or where what should be possible is not.
pub fn holds(world: World) {
    let started = Instant::now();
    let checker = world.checker().threads(2).spawn_bfs().join();
    println!(
        "{}: {} states, up to {} steps deep, in {:.1} s",
        name(),
        checker.unique_state_count(),
        checker.max_depth(),
        started.elapsed().as_secs_f64()
    );
    for (property, path) in checker.discoveries() {
        assert!(
            checker.model().property(property).expectation == Expectation::Sometimes,
            "\"{property}\" does not hold:{}",
            tell(&path.into_actions())
        );
    }
    checker.assert_properties();
}

/// Looks for the shortest way to break a property, and tells it. Fails where there is none.
pub fn breaks(property: &'static str, world: World) {
    let started = Instant::now();
    let checker = world
        .checker()
        .finish_when(HasDiscoveries::AnyOf([property].into()))
        .spawn_bfs()
        .join();
    let steps = checker.assert_any_discovery(property).into_actions();
    println!(
        "{}: \"{property}\" is broken after {} states, in {:.1} s, by{}",
        name(),
        checker.unique_state_count(),
        started.elapsed().as_secs_f64(),
        tell(&steps)
    );
}

/// The name of the test that runs.
fn name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

fn tell(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |mut told, step| {
        // Writing into a string does not fail.
        let _ = write!(told, "\n  {step:?}");
        told
    })
}
