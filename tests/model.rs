//! The model.

#[path = "model/check.rs"]
mod check;
#[path = "model/gateway.rs"]
mod gateway;
#[path = "model/gladia.rs"]
mod gladia;
#[path = "model/look.rs"]
mod look;
#[path = "model/properties.rs"]
mod properties;
#[path = "model/state.rs"]
mod state;
#[path = "model/steps.rs"]
mod steps;
#[path = "model/world.rs"]
mod world;

use check::{breaks, holds};
use properties::{ONCE, ONE_DOUBLED};
use world::{List, Rules, SETTLING, WitnessRule, World};

#[test]
fn plain() {
    holds("plain", World::PLAIN);
}

fn with(rules: Rules) -> World {
    World { rules, ..World::PLAIN }
}

#[test]
fn m_settling() {
    breaks("settling", ONCE, with(Rules { absences_settle: false, witnesses_settle: false, ..Rules::ALL }));
}
#[test]
fn m_witness() {
    breaks("witness", ONCE, with(Rules { witness: WitnessRule::NotNeeded, ..Rules::ALL }));
}
#[test]
fn m_answered() {
    breaks("answered", ONCE, with(Rules { witness: WitnessRule::Answered, ..Rules::ALL }));
}
#[test]
fn m_claimed() {
    breaks("claimed", ONCE, with(Rules { witnesses_settle: false, ..Rules::ALL }));
}
#[test]
fn m_apart() {
    breaks("apart", ONCE, with(Rules { witness: WitnessRule::AskedForApart, ..Rules::ALL }));
}
#[test]
fn m_check() {
    breaks("check", ONCE, with(Rules { check_before_send: false, ..Rules::ALL }));
}
#[test]
fn m_once() {
    breaks("once", ONCE, World { lies: 1, ..with(Rules { twice: false, ..Rules::ALL }) });
}
