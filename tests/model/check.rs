//! Runs a check and tells what came of it.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::{
    steps::Step,
    world::World,
};

/// Walks through every reachable state and fails where a property does.
pub fn holds(name: &str, world: World) {
    let started = Instant::now();
    let checker = world.checker().threads(2).spawn_bfs().join();
    println!(
        "{name}: {} states, {} steps deep, {:.1} s",
        checker.unique_state_count(),
        checker.max_depth(),
        started.elapsed().as_secs_f64()
    );
    for (property, path) in checker.discoveries() {
        let sometimes = checker.model().property(property).expectation
            == stateright::Expectation::Sometimes;
        if !sometimes {
            panic!(
                "{name}: \"{property}\" does not hold:\n{}",
                tell(&path.into_actions())
            );
        }
    }
    checker.assert_properties();
}

/// Looks for the shortest way to break one property, tells it, and fails where there is none.
pub fn breaks(name: &str, property: &'static str, world: World) -> Vec<Step> {
    let started = Instant::now();
    let checker = world
        .checker()
        .finish_when(HasDiscoveries::AnyOf([property].into()))
        .spawn_bfs()
        .join();
    let steps = checker.assert_any_discovery(property).into_actions();
    println!(
        "{name}: after {} states, {:.1} s, \"{property}\" is broken by\n{}",
        checker.unique_state_count(),
        started.elapsed().as_secs_f64(),
        tell(&steps)
    );
    steps
}

fn tell(steps: &[Step]) -> String {
    steps
        .iter()
        .map(|step| format!("  {step:?}"))
        .collect::<Vec<_>>()
        .join("\n")
}
