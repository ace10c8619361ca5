//! Following, against a simulated source, target and state: crashes between any two calls, errors
//! before and after the deed, transactions in parts, columns that change, values that only one row may
//! have, rows without any key, copies that are of many moments, and processes that go on after another one has taken over.
//!
//! At every moment the target has to be what the source was at the position that the target names.
//! `SYNCLINE_SEEDS` says how many seeds (1,000), `SYNCLINE_SEED` runs one.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test, in several files")]

mod log;
mod process;
mod sink;
mod store;
mod world;

use world::{Counts, Mistake, World};

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match (number("SYNCLINE_SEED"), number("SYNCLINE_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 1..1 + count.unwrap_or(1_000),
    }
}

/// What a seed comes to: counts, or what was wrong.
fn run(seed: u64, mistake: Option<Mistake>) -> Result<Counts, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let world = World::of_seed(seed, mistake);
    runtime.block_on(process::to_the_end(&world));
    world.verdict()
}

#[test]
fn the_target_is_always_what_the_source_was_on_any_seed() {
    let mut all = Counts::default();
    for seed in seeds() {
        match run(seed, None) {
            Ok(counts) => all.add(counts),
            Err(why) => panic!("SYNCLINE_SEED={seed}: {why}"),
        }
    }
    println!("{all:?}");
    if seeds().count() >= 1_000 {
        assert!(
            all.crashes > 1_000
                && all.errors > 1_000
                && all.fenced > 50
                && all.parts > 500
                && all.evolved > 500
                && all.refused > 50
                && all.read > 50
                && all.moved > 50
                && all.joined > 300,
            "{all:?}"
        );
    }
}

#[test]
fn every_mistake_is_found_on_some_seed() {
    for mistake in Mistake::ALL {
        let found = (1..400).find(|seed| run(*seed, Some(mistake)).is_err());
        println!("{mistake:?}: found on seed {found:?}");
        assert!(found.is_some(), "{mistake:?} is not found");
    }
}
