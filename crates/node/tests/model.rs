//! The planner and the token cache as they are, in a simulated world: random pods, volumes, driver deaths, API outages, clock
//! jumps, kills and reboots of the node, in virtual time and without sockets. After each step, and in calm spells between,
//! what must always hold is checked.
//!
//! `TOKENWARD_MODEL_STEPS` says how many steps (100,000), `TOKENWARD_MODEL_SEED` replays one run of a failure.

#![expect(clippy::unwrap_used, reason = "a model that breaks is a failed test")]

#[path = "model/world.rs"]
mod world;

use world::World;

const STEPS: u64 = 100_000;

/// Steps of one run: a failure is replayed from the start of its run.
const STEPS_PER_RUN: u64 = 2_000;

#[test]
fn whatever_happens_nothing_is_lost() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("TOKENWARD_MODEL_SEED") {
        return run(seed);
    }
    let runs = number("TOKENWARD_MODEL_STEPS").unwrap_or(STEPS).div_ceil(STEPS_PER_RUN);
    for seed in 0..runs {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "seed {seed} failed: TOKENWARD_MODEL_SEED={seed} replays it");
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    for step in 0..STEPS_PER_RUN {
        world.step();
        if step % 500 == 499 {
            world.calm_down();
        }
    }
    world.end();
}
